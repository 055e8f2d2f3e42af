from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.core.errors import ConfigError, Diverged, FirstTrialFailed, StudyError
from ratio_hpo.core.plans import UNPLANNED, TrialPlan
from ratio_hpo.core.trial import Context, Decision, Params, Progress, State
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.metrics.front import spent_on
from ratio_hpo.samplers.optuna import OptunaSampler
from ratio_hpo.samplers.registry import SAMPLERS
from ratio_hpo.space import Choice, Ratio, Simplex, Space
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Baseline, Study, TargetScore
from ratio_hpo.study.manage import enqueue
from ratio_hpo.study.snapshot import view_study
from tests.conftest import curve_objective, plan_of

Make = Callable[..., Study]


def states(study: Study) -> list[str]:
    return [record.state.value for record in study.records()]


def progress(windows: int, f1: float = 0.5) -> Progress:
    return Progress(
        stage="target", windows=windows, cost=windows, scores={"f1/en": f1, "f1/sw": f1, "f1/fi": f1, "f1/ko": f1}
    )


def test_baselines_come_first_and_set_the_target(open_study: Make, search: Make) -> None:
    study = search(open_study(), 6)
    records = study.records()
    assert [record.kind for record in records[:2]] == ["reference_only", "non_reference_only"]
    assert study.target == pytest.approx(0.95 * records[0].scored[-1].primary_score)
    for record in records:
        if record.state is State.COMPLETE:
            assert record.values[0] == pytest.approx(record.scored[-1].primary_score)  # type: ignore[index]


def test_a_target_moves_no_more(open_study: Make, search: Make) -> None:
    target = search(open_study(), 4).target
    assert search(open_study(), 8).target == target


def test_a_given_target_is_stored_at_once(open_study: Make) -> None:
    assert open_study(plan_of(target=TargetScore(score=0.6))).target == 0.6


def test_trials_beside_the_baseline_wait_for_the_target(open_study: Make) -> None:
    study = open_study()
    first, second = study.next(4), study.next(4)
    assert first is not None
    assert second is not None
    for windows in range(10, 110, 10):
        study.report(second.number, progress(windows))
    study.complete(second.number)
    assert states(study) == ["RUNNING", "RUNNING"]
    for windows in range(10, 110, 10):
        study.report(first.number, progress(windows))
    study.complete(first.number)
    assert states(study) == ["COMPLETE", "COMPLETE"]


def test_a_waiting_trial_is_told_after_a_restart(open_study: Make, search: Make) -> None:
    study = open_study()
    _, second = study.next(4), study.next(4)
    study.report(second.number, progress(100))  # type: ignore[union-attr]
    study.complete(second.number)  # type: ignore[union-attr]
    study.close()
    again = search(open_study(), 2)
    assert states(again) == ["COMPLETE", "COMPLETE"]
    assert len(again.records()[1].curve) == 1


def test_a_censored_trial_is_told_twice_the_largest_cost(open_study: Make) -> None:
    study = open_study(plan_of(target=TargetScore(score=0.9)))
    job = study.next(1)
    study.report(job.number, progress(100, 0.4))  # type: ignore[union-attr]
    study.complete(job.number)  # type: ignore[union-attr]
    assert study.records()[0].values == (0.4, 200.0)


def test_reporting_again_changes_nothing(open_study: Make) -> None:
    study = open_study()
    job = study.next(1)
    assert job is not None
    study.report(job.number, progress(10, 0.3))
    study.report(job.number, progress(10, 0.9))
    assert [p.primary_score for p in study.records()[0].curve] == pytest.approx([0.3])


def test_a_released_trial_goes_on_under_its_number(open_study: Make, search: Make) -> None:
    study = open_study()
    job = study.next(1)
    study.report(job.number, replace(progress(10), paid=10))  # type: ignore[union-attr]
    study.close()
    again = open_study()
    adopted = again.next(1)
    assert adopted is not None
    assert (adopted.number, adopted.position, adopted.spent.cost) == (0, ("target", 10), 10)
    assert adopted.params == job.params  # type: ignore[union-attr]


def test_a_continued_study_draws_what_an_uninterrupted_one_does(open_study: Make, search: Make) -> None:
    whole = [r.params for r in search(open_study(plan_of("whole")), 14).records()]
    for trials in (3, 9, 14):
        parts = search(open_study(plan_of("parts")), trials)
    assert [r.params for r in parts.records()] == whole


def test_the_asked_number_is_the_total(open_study: Make, search: Make) -> None:
    search(open_study(), 5)
    study = search(open_study(), 5)
    assert len(study.records()) == 5
    assert study.is_done(5)
    assert not study.is_done(6)


def test_another_identity_is_refused_with_what_differs(open_study: Make) -> None:
    open_study()
    with pytest.raises(StudyError, match=r"another identity \(base: \"b\" -> \"c\"; seed: 0 -> 1\).*`study` study-"):
        open_study(plan_of(basis={**plan_of().basis, "base": "c"}, seed=1))


def failing(params: Params, context: Context) -> Iterator[Progress]:
    yield progress(10)
    if context.trial == 2:
        raise RuntimeError("no such file")
    if context.trial == 3:
        raise Diverged("target", 7, {"learning_rate": 0.1})
    yield progress(100)


def test_errors_end_their_trial_alone(open_study: Make, search: Make) -> None:
    records = search(open_study(pruner=("none", {})), 5, failing).records()
    assert [r.state.value for r in records] == ["COMPLETE", "COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert records[2].reason == "RuntimeError: no such file"
    assert "Traceback" in str(records[2].traceback)
    assert records[3].diverged
    assert records[3].reason == "diverged: non-finite loss in stage target at step 7 (learning_rate=0.1)"


def broken(params: Params, context: Context) -> Iterator[Progress]:
    raise RuntimeError("out of luck")
    yield


def test_a_failed_first_trial_stops_the_search_and_says_why(open_study: Make, search: Make) -> None:
    with pytest.raises(FirstTrialFailed, match="out of luck"):
        search(open_study(), 4, broken)
    assert open_study().first_failure() == "RuntimeError: out of luck"


def test_an_objective_without_progress_fails(open_study: Make, search: Make) -> None:
    study = search(open_study(plan_of(target=TargetScore(score=0.5))), 1, lambda params, context: iter(()))
    assert study.records()[0].reason == "the objective ended without reporting an evaluation"


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_all_samplers_work_with_all_domains(sampler: str, open_study: Make, search: Make) -> None:
    space = Space(
        "s",
        {"ratio": Ratio(), "shares": Simplex(parts=("en", "sw", "ko")), "schedule": Choice(options=("a", "b", "c"))},
    )
    sources = {
        name: SourceSize(windows=size, questions=size, tokens=9 * size, reference=name == "en")
        for name, size in {"en": 900, "sw": 90, "ko": 9}.items()
    }
    plan = replace(plan_of(space=space, baselines=(), target=TargetScore(score=0.5)), sources=sources)
    study = open_study(plan, sampler=(sampler, {}))
    records = search(study, 14).records()
    assert len(records) == 14
    for record in records:
        assert space.contains(record.params)
    assert len({record.params["ratio"] for record in records}) >= (2 if sampler == "grid" else 10)


@pytest.mark.parametrize(("options", "together"), [({}, True), ({"multivariate": False}, False)])
def test_tpe_looks_at_all_coordinates_together_unless_told_otherwise(
    options: dict[str, Any], together: bool, open_study: Make, search: Make
) -> None:
    """In a study with two objectives, Optuna's default samples each coordinate independently."""
    study = search(open_study(pruner=("none", {})), 10)
    sampler = OptunaSampler("tpe", options, space=study.plan.space, seed=0)._make(10)
    trial = study._optuna.get_trials()[9]
    looked_at = set(sampler.infer_relative_search_space(study._optuna, trial))
    assert looked_at == (set(study.plan.space.coordinates()) if together else set())


def test_a_finished_grid_ends_the_search(open_study: Make, search: Make) -> None:
    space = Space("s", {"ratio": Ratio()})
    study = open_study(
        plan_of(space=space, baselines=(), target=TargetScore(score=0.5)),
        sampler=("grid", {"parts": 3}),
        pruner=("none", {}),
    )
    assert sorted(r.params["ratio"] for r in search(study, 20).records()) == [0.0, 0.5, 1.0]


def test_what_is_enqueued_beside_a_grid_is_filled_up(open_study: Make, search: Make) -> None:
    options: dict[str, Any] = {"sampler": ("grid", {"parts": 3}), "pruner": ("none", {})}
    study = search(open_study(**options), 3)
    enqueue(study.storage, None, {"ratio": 0.37})
    record = search(open_study(**options), 4).records()[3]
    assert (record.state, record.params["ratio"]) == (State.COMPLETE, 0.37)
    assert 1e-4 <= record.params["learning_rate"] <= 1e-2


def test_enqueued_parameters_come_next(open_study: Make, search: Make) -> None:
    plan = plan_of()
    study = search(open_study(plan), 3)
    assert enqueue(study.storage, None, {"ratio": 0.37}) == ("study", 3)
    record = search(open_study(plan), 4).records()[3]
    assert record.kind == "enqueued"
    assert record.params["ratio"] == 0.37
    assert 1e-4 <= record.params["learning_rate"] <= 1e-2


@pytest.mark.parametrize(
    ("params", "message"), [({"rato": 0.1}, "did you mean 'ratio'"), ({"ratio": 2.0}, r"value must be in \[0, 1\]")]
)
def test_impossible_parameters_are_not_enqueued(params: dict[str, Any], message: str, open_study: Make) -> None:
    study = open_study()
    with pytest.raises(ConfigError, match=message):
        enqueue(study.storage, "study", params)


def test_a_view_shows_what_is_stored(open_study: Make, search: Make) -> None:
    study = search(open_study(), 5)
    view = view_study(study.storage, None)
    assert view.name == "study"
    assert view.target == study.target
    assert [r.number for r in view.records] == [0, 1, 2, 3, 4]
    with pytest.raises(StudyError, match="has no trial 9; it has 0 to 4"):
        view.trial(9)
    with pytest.raises(StudyError, match="no study named 'stdy'"):
        view_study(study.storage, "stdy")
    assert spent_on(view.records).cost == sum(r.curve[-1].cost for r in view.records)


def test_infinite_costs_stay_out_of_the_storage(open_study: Make, search: Make) -> None:
    study = search(open_study(plan_of(target=TargetScore(score=0.99))), 4)
    assert all(math.isfinite(v) for r in study.records() if r.values for v in r.values)


def test_a_baseline_outside_the_space_keeps_its_own_shares(open_study: Make, search: Make) -> None:
    space = Space("s", {"ratio": Ratio(low=0.2, high=0.8)})
    baseline = Baseline(kind="reference_only", params={"ratio": 0.0, "shares": {"en": 1.0}})
    study = search(open_study(plan_of(space=space, baselines=(baseline,))), 2)
    assert study.records()[0].params == {"ratio": 0.0, "shares": {"en": 1.0}}


def test_a_trial_that_ran_to_its_budget_is_complete_whatever_the_pruner_says(open_study: Make, search: Make) -> None:
    study = open_study(
        plan_of(target=TargetScore(score=0.5), baselines=()),
        pruner=("threshold", {"lower": 0.99, "n_warmup_steps": 10}),
    )
    record = search(study, 1).records()[0]
    assert record.curve[-1].primary_score < 0.99
    assert record.state is State.COMPLETE


def test_parameters_that_the_objective_refuses_fail_their_trial_alone(open_study: Make, search: Make) -> None:
    def plan(params: Params, seed: int) -> TrialPlan:
        if params["ratio"] > 0.5 and params["ratio"] < 1.0:
            raise ValueError("ratio too high for this budget")
        return UNPLANNED

    study = search(open_study(plan_trial=plan, pruner=("none", {})), 10)
    failed = [record for record in study.records() if record.state is State.FAIL]
    assert 0 < len(failed) < 8
    assert all("ratio too high" in str(record.reason) for record in failed)
    assert len(study.records()) == 10


def test_baselines_with_choices_run_and_are_enqueued(open_study: Make, search: Make) -> None:
    space = Space("s", {"ratio": Ratio(), "schedule": Choice(options=("constant", "wsd", "linear"))})
    baseline = Baseline(kind="reference_only", params={"ratio": 0.0, "schedule": "wsd"})
    plan = plan_of(space=space, baselines=(baseline,))
    study = search(open_study(plan), 1)
    enqueue(study.storage, None, {"schedule": "linear"})
    records = search(open_study(plan), 2).records()
    assert records[0].params == baseline.params
    assert records[1].params["schedule"] == "linear"


def test_a_trial_that_its_driver_left_without_parameters_gets_them_from_the_next_one(tmp_path: Path) -> None:
    """The storage of the next driver has not read that trial before."""
    first, second = (
        Study(plan_of(target=TargetScore(score=0.5), baselines=()), open_storage(default_url(tmp_path)))
        for _ in range(2)
    )
    left = first._optuna.ask()
    job = second.next(4)
    assert job is not None
    assert (job.number, set(job.params)) == (left.number, {"ratio", "learning_rate"})
    second.close()


def test_two_drivers_never_run_more_than_was_asked(tmp_path: Path) -> None:
    """Four processes share one file. Each asks for trials until none is left."""
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.conftest import plan_of\n"
        "from ratio_hpo.study import Study, TargetScore\n"
        "from ratio_hpo.storage.connect import default_url, open_storage\n"
        "study = Study(plan_of(target=TargetScore(score=0.5)), open_storage(default_url(Path(sys.argv[1]))))\n"
        "while study.next(12) is not None: pass\n"
        "print(*study.running.numbers())\n"
        "sys.stdout.flush(); sys.stdin.read()"
    )
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], cwd=Path(__file__).parents[2], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    numbers = [int(word) for driver in drivers for word in driver.stdout.readline().split()]  # type: ignore[union-attr]
    for driver in drivers:
        driver.communicate(timeout=30)
    assert sorted(numbers) == list(range(12))
    view = view_study(open_storage(default_url(tmp_path)), None)
    assert [record.kind for record in view.records[:3]] == ["reference_only", "non_reference_only", "sampled"]


def test_pruning_closes_the_generator(open_study: Make, search: Make) -> None:
    closed = []

    def objective(params: Params, context: Context) -> Iterator[Progress]:
        try:
            yield from curve_objective(params, context)
        finally:
            closed.append(context.trial)

    study = search(open_study(), 12, objective)
    assert sorted(closed) == list(range(12))
    assert "PRUNED" in states(study)


def test_decisions_survive_a_crash_between_stop_and_end(open_study: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation and its decision are written in one transaction, so a stopped trial is not resumed."""
    study = open_study(plan_of(target=TargetScore(score=0.5), baselines=()), pruner=("threshold", {"lower": 0.9}))
    job = study.next(1)
    assert study.report(job.number, progress(10, 0.1)) is Decision.STOP  # type: ignore[union-attr]
    study.close()
    again = open_study(plan_of(target=TargetScore(score=0.5), baselines=()), pruner=("threshold", {"lower": 0.9}))
    assert again.next(1) is None
    assert states(again) == ["PRUNED"]
