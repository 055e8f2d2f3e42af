"""Confirmation and noise measurement, with an objective whose true scores are known and with a small real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ratio_hpo
from ratio_hpo import Context, Params, Progress, Ratio, StudyError, confirm, load_study, noise, search
from ratio_hpo.analysis.confirmation_results import Confirmation
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study.snapshot import view_study
from tests.cli.test_commands import documented

SPACE = {"ratio": Ratio()}
QUIET: dict[str, Any] = {"tracking": False, "progress": False, "isolated": False}
NOISE = 0.005


def true_score(ratio: float) -> float:
    """Return the true score, which is highest at ratio .7."""
    return 0.8 - 0.3 * (ratio - 0.7) ** 2


def seeded(params: Params, context: Context) -> Iterator[Progress]:
    """Yield two evaluations whose scores depend on the seed."""
    ratio = params["ratio"]
    rng = np.random.default_rng([context.seed, round(1e6 * ratio)])
    for windows in (50, 100):
        score = true_score(ratio) * windows / 100 + NOISE * rng.standard_normal()
        scores = {f"f1/{language}": float(score - 0.1 * k) for k, language in enumerate(("sw", "ko"))}
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    search(seeded, SPACE, rungs=[50, 100], trials=9, study="known", root=tmp_path, **QUIET)
    return tmp_path


def confirmed(root: Path, **options: Any) -> Confirmation:
    return confirm("known", objective=seeded, space=SPACE, root=root, **QUIET, **options)


def test_what_is_true_is_confirmed_in_a_plain_sentence(root: Path) -> None:
    told = confirmed(root, top=2, seeds=4)
    assert set(told.to_json()) == documented()["confirm"]
    finalist = told.entrants[0]
    assert finalist.ratio is not None
    assert abs(finalist.ratio - 0.7) < 0.25
    [reference_only] = [each for each in told.against if each.baseline == "reference_only"]
    true = true_score(finalist.ratio) - true_score(0.0)
    assert reference_only.claim
    assert reference_only.low <= true <= reference_only.high
    assert "English only" in told.sentence
    assert f"{finalist.ratio:.2f}" in told.sentence
    assert "over 4 seeds" in told.sentence


def test_the_best_baseline_is_always_named(root: Path) -> None:
    """The best baseline is named even if it is not one of the baselines that a finalist must beat."""
    told = confirmed(root, top=1, seeds=3)
    best = max(told.entrants[1:], key=lambda entrant: entrant.score.mean)
    assert told.against[0].trial == best.trial
    assert best.label in told.sentence
    assert len({each.trial for each in told.against}) == len(told.against)
    for each in told.against:
        assert each.claim or f"P = {100 * each.probability:.1f} %" in told.sentence


def test_every_entrant_has_the_same_fresh_seeds(root: Path) -> None:
    confirmed(root, top=1, seeds=3)
    view = view_study(open_storage(default_url(root)), "known+confirm")
    own = view_study(open_storage(default_url(root)), "known").identity["seed"]
    seeds: dict[Any, set[Any]] = {}
    for record in view.records:
        seeds.setdefault(record.replicate_of, set()).add(record.seed)
    assert set(map(frozenset, seeds.values())) == {frozenset({1, 2, 3})}
    assert own not in {1, 2, 3}
    assert {record.state.value for record in view.records} == {"COMPLETE"}


def test_finalists_and_seeds_grow_and_nothing_is_trained_twice(root: Path) -> None:
    first = confirmed(root, top=1, seeds=2)
    second = confirmed(root, top=2, seeds=3)
    assert len(second.entrants) == len(first.entrants) + 1
    assert second.seeds == (1, 2, 3)
    runs = view_study(open_storage(default_url(root)), "known+confirm").records
    assert len(runs) == 3 * len(second.entrants)
    assert len({(run.replicate_of, run.seed) for run in runs}) == len(runs)
    assert [len(reading.seeds) for reading in second.readings] == [2, 3]


def test_a_reading_of_test_is_stored(root: Path) -> None:
    result = confirmed(root, top=1, seeds=2)
    storage = open_storage(default_url(root))
    attributes = storage.get_study_user_attrs(storage.get_study_id_from_name("known+confirm"))
    assert attributes["reading:00001"] == result.to_json()["readings"][0]
    assert list(attributes["reading:00001"]) == ["time", "trials", "seeds", "split"]
    assert view_study(storage, "known+confirm").readings == result.readings


def test_noise_is_measured_and_counts_for_the_confirmation(root: Path) -> None:
    floor = noise("known", objective=seeded, space=SPACE, seeds=8, root=root, **QUIET)
    assert set(floor.to_json()) == documented()["noise"]
    assert 0.4 * NOISE < floor.sd < 2.0 * NOISE
    assert floor.smallest_visible is not None
    assert floor.smallest_visible > floor.sd
    trained = len(view_study(open_storage(default_url(root)), "known+confirm").records)
    confirmed(root, top=1, seeds=8)
    assert len(view_study(open_storage(default_url(root)), "known+confirm").records) <= trained + 8


def test_without_a_difference_it_says_so(tmp_path: Path) -> None:
    def level(params: Params, context: Context) -> Iterator[Progress]:
        rng = np.random.default_rng([context.seed, round(1e6 * params["ratio"])])
        score = 0.7 + 0.01 * rng.standard_normal()
        yield Progress(stage="target", windows=100, cost=100, scores={"f1/mean": score})

    search(level, SPACE, rungs=[100], trials=5, study="level", root=tmp_path, **QUIET)
    told = confirm("level", objective=level, space=SPACE, top=1, seeds=3, root=tmp_path, **QUIET)
    assert not any(each.claim for each in told.against)
    assert "no difference that this budget can see" in told.sentence


def test_a_confirmation_is_work_on_its_study(root: Path) -> None:
    confirmed(root, top=1, seeds=2)
    assert load_study(root=root).name == "known"


def test_another_objective_is_refused(root: Path) -> None:
    wider = {"ratio": Ratio(high=0.9)}
    with pytest.raises(StudyError, match=r"another identity \(.*space"):
        confirm("known", objective=seeded, space=wider, root=root, **QUIET)


def test_a_confirmation_cannot_be_searched_or_confirmed(root: Path) -> None:
    confirmed(root, top=1, seeds=2)
    with pytest.raises(ratio_hpo.RatioHpoError, match="is the confirmation of known; run `ratio-hpo confirm known`"):
        search(seeded, SPACE, rungs=[50, 100], study="known+confirm", root=root, **QUIET)
    with pytest.raises(StudyError, match="name the searched study, known"):
        confirm("known+confirm", objective=seeded, space=SPACE, root=root, **QUIET)


def test_what_was_made_from_python_needs_its_objective(root: Path) -> None:
    with pytest.raises(StudyError, match="pass the same `objective` and `space`"):
        confirm("known", root=root, **QUIET)


def test_a_failed_replicate_is_retried_and_then_counts(root: Path) -> None:
    broken = True

    def fragile(params: Params, context: Context) -> Iterator[Progress]:
        if broken and context.seed == 2 and params["ratio"] == 0.0:
            raise RuntimeError("the GPU fell off the bus")
        yield from seeded(params, context)

    fragile.__module__, fragile.__qualname__ = seeded.__module__, seeded.__qualname__
    told = confirm("known", objective=fragile, space=SPACE, top=1, seeds=3, root=root, **QUIET)
    assert (told.missing, told.seeds) == (1, (1, 3))
    broken = False
    from ratio_hpo.study.manage import retry

    retry(open_storage(default_url(root)), "known+confirm")
    told = confirm("known", objective=fragile, space=SPACE, top=1, seeds=3, root=root, **QUIET)
    assert (told.missing, told.seeds) == (0, (1, 2, 3))


def test_a_confirmation_goes_with_its_study(root: Path) -> None:
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.study.create_or_load import study_ids
    from ratio_hpo.upkeep.studies import delete, rename

    confirmed(root, top=1, seeds=2)
    storage = open_storage(default_url(root))
    rename(storage, RunFolder(root), "known", "better")
    assert set(study_ids(storage)) == {"better", "better+confirm"}
    delete(storage, RunFolder(root), "better")
    assert not study_ids(storage)


@pytest.mark.slow
def test_the_report_in_mlflow_has_the_answer(tmp_path: Path) -> None:
    quiet = {**QUIET, "tracking": True}
    search(seeded, SPACE, rungs=[50, 100], trials=4, study="known", root=tmp_path, **quiet)
    pages = list((tmp_path / "artifacts").rglob("report.html"))
    assert len(pages) == 1
    assert "Not confirmed" in pages[0].read_text()
    told = confirm("known", objective=seeded, space=SPACE, top=1, seeds=2, root=tmp_path, **quiet)
    assert list((tmp_path / "artifacts").rglob("report.html")) == pages  # the confirmation's run has no report
    assert told.sentence.split(",")[0] in pages[0].read_text()
