"""`select` is scored at a trial's end, and where it matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ratio_hpo.core.trial import Context, Decision, Params, Progress, State, TrialRecord
from ratio_hpo.study import Job, Study, Target
from ratio_hpo.study.advice import advise
from ratio_hpo.study.front import front
from tests.backends.objectives import waits_with_select
from tests.conftest import plan_of

Make = Callable[..., Study]
LANGUAGES = ("en", "sw")
LOW = Progress(stage="target", windows=10, cost=10, scores={"prune/f1/en": 0.1, "prune/f1/sw": 0.1})
ON_BOTH = {**LOW.scores, "f1/en": 0.2, "f1/sw": 0.2}


def has_select(records: Sequence[TrialRecord]) -> list[str]:
    """A letter an evaluation: whether it was scored on `select` too."""
    return ["".join("s" if point.has_headline else "p" for point in record.curve) for record in records]


def opened(open_study: Make, name: str = "late", **options: Any) -> Study:
    plan = replace(plan_of(name, target=Target(score=0.5)), languages=LANGUAGES)
    return open_study(plan, **{"score_select": "likely", "pruner": ("none", {}), **options})


def test_a_point_that_cannot_join_the_front_is_scored_on_prune_alone(open_study: Make, search: Make) -> None:
    records = search(opened(open_study), 12, waits_with_select).records()
    scored = has_select(records)
    assert scored[0] == "s" * 10, "until two trials have ended"
    assert scored[2] == "p" * 9 + "s", "its weights are gone"
    assert all(letters[-1] == "s" for letters in scored), "an end has both"
    later = "".join(scored[3:])
    assert later.count("p") > 10
    always = search(opened(open_study, "always", score_select="always"), 12, waits_with_select).records()
    assert [letters for k, letters in enumerate(has_select(always)) if k != 2] == ["s" * 10] * 11
    best = [max(member.progress.headline for member in front(each)) for each in (records, always)]
    assert best[0] == pytest.approx(best[1], abs=0.02)


def test_what_the_front_is_made_of_has_select(open_study: Make, search: Make) -> None:
    study = search(opened(open_study), 12, waits_with_select)
    records = study.records()
    assert all(member.progress.has_headline for member in front(records))
    advice = advise(study._by.response, records)
    assert advice is not None
    points = {(r.number, p.stage, p.windows): p for r in records for p in r.curve}
    assert all(points[m.trial, m.stage, m.windows].has_headline for m in advice.front)


def test_where_the_target_may_be_reached_select_is_scored_on_both_sides(open_study: Make, search: Make) -> None:
    """So that what a trial cost until then is told as if every rung had been scored."""
    drawn: dict[str, Any] = {"sampler": ("random", {})}
    late = search(opened(open_study, **drawn), 16, waits_with_select).records()
    always = search(opened(open_study, "always", score_select="always", **drawn), 16, waits_with_select).records()
    assert "".join(has_select(late)).count("p") > 40
    for record, other in zip(late[3:], always[3:], strict=True):
        assert record.params == other.params
        assert record.values == pytest.approx(other.values)


def test_a_trial_is_stopped_where_its_end_is_scored(open_study: Make) -> None:
    """What a pruner has decided on `prune` waits for `select`, and is decided once."""
    study, job = after_two_good_ones(open_study)
    both = replace(LOW, scores=ON_BOTH)
    assert study.report(job.number, LOW) is Decision.SCORE
    assert study.records()[job.number].curve == (), "it is recorded when it comes again"
    assert study.report(job.number, both) is Decision.STOP
    study.prune(job.number)
    record = study.records()[job.number]
    assert (record.state, has_select([record])) == (State.PRUNED, ["s"])


def test_a_trial_whose_weights_are_gone_goes_on_to_where_its_end_can_be_scored(open_study: Make) -> None:
    study, job = after_two_good_ones(open_study)
    assert study.report(job.number, LOW) is Decision.SCORE
    assert study.report(job.number, LOW) is Decision.CONTINUE
    later = replace(LOW, windows=20, cost=20)
    assert study.report(job.number, later) is Decision.SCORE
    assert study.report(job.number, replace(later, scores=ON_BOTH)) is Decision.STOP


def test_a_driver_that_dies_before_select_came_loses_nothing(open_study: Make) -> None:
    study = opened(open_study)
    job = study.next(9)
    assert job is not None
    stream = waits_with_select(job.params, Context(trial=0, seed=0, root="."))
    alone = next(stream)
    assert study.report(job.number, alone) is Decision.SCORE
    study.close()
    again = opened(open_study)
    adopted = again.next(9)
    assert adopted is not None
    assert (adopted.number, adopted.position) == (job.number, None)
    assert again.report(adopted.number, alone) is Decision.SCORE
    assert again.report(adopted.number, stream.send(Decision.SCORE)) is Decision.CONTINUE
    assert has_select(again.records()[:1]) == ["s"]


def test_an_objective_that_scores_both_at_once_is_never_asked(open_study: Make, search: Make) -> None:
    asked = []

    def objective(params: Params, context: Context) -> Any:
        assert not context.late
        for windows in (50, 100):
            value = 0.5 * windows / 100
            asked.append(
                (
                    yield Progress(
                        stage="target", windows=windows, cost=windows,
                        scores={"f1/en": value, "f1/sw": value, "prune/f1/en": value, "prune/f1/sw": value},
                    )
                )
            )  # fmt: skip

    search(opened(open_study, score_select=None), 4, objective)
    assert set(asked) == {None}


def after_two_good_ones(open_study: Make) -> tuple[Study, Job]:
    """A study whose pruner stops what is as low as `LOW`, and its third trial."""
    study = opened(open_study, pruner=("threshold", {"lower": 0.3}))
    for _ in range(2):
        finish(study, 0.9)
    job = study.next(9)
    assert job is not None
    return study, job


def finish(study: Study, score: float) -> None:
    """Run the next trial to its end."""
    job = study.next(9)
    assert job is not None
    scores = {f"{prefix}f1/{language}": score for prefix in ("", "prune/") for language in LANGUAGES}
    study.report(job.number, Progress(stage="target", windows=100, cost=100, scores=scores))
    study.complete(job.number)
