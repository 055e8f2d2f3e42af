"""Step sweeps: a proposal is trained at each number of steps at which the front may improve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import pytest

from ratio_hpo.core.trial import Context, Params, Progress, State, TrialRecord
from ratio_hpo.samplers.step_sweep import StepSweeps
from ratio_hpo.space import Ratio, Space, StepSweep
from ratio_hpo.space.space import space_from_json
from ratio_hpo.study import Study, TargetScore
from tests.conftest import plan_of
from tests.study.test_mixture import GRID, planned, two_stages

Make = Callable[..., Study]

VALUES = (50, 100, 200)
SPACE = Space("curve", {"ratio": Ratio(), "intermediate_steps": StepSweep(values=VALUES, absolute=True)})
PLAN = plan_of(
    "curve",
    space=SPACE,
    rungs=GRID,
    baselines=(),
    largest_cost=220.0,
    languages=("en", "sw"),
    target=TargetScore(score=0.5),
)


@pytest.fixture
def open_curve(open_study: Make) -> Make:
    def opened(**options: Any) -> Study:
        return open_study(PLAN, plan_trial=planned, **{"pruner": ("none", {}), **options})

    return opened


def overlong(params: Params, context: Context) -> Iterator[Progress]:
    """An objective whose score falls sharply with the length of the first stage."""
    for point in two_stages(params, context):
        trained = point.windows if point.stage == "intermediate" else params["intermediate_steps"]
        worse = 1.0 - 0.8 * trained / 200
        yield Progress(
            stage=point.stage,
            windows=point.windows,
            cost=point.cost,
            scores={key: worse * value for key, value in point.scores.items() if key.startswith("f1/")},
        )


def families(records: list[TrialRecord]) -> list[list[int]]:
    """Return the steps of the trials, in order, grouped by mixture."""
    pairs = [(record.params["ratio"], record.params["intermediate_steps"]) for record in records]
    return [[steps for _, steps in group] for _, group in groupby(pairs, key=lambda pair: pair[0])]


@pytest.mark.parametrize("sampler", ["mixture", "random", "tpe"])
def test_a_mixture_is_trained_at_rising_steps(sampler: str, open_curve: Make, search: Make) -> None:
    records = search(open_curve(sampler=(sampler, {})), 12, two_stages).records()
    assert [record.state for record in records[:12]] == [State.COMPLETE] * 12
    grown = families(records)
    assert grown[:2] == [list(VALUES)] * 2
    assert all(steps == sorted(steps) for steps in grown)
    assert sum(map(len, grown)) <= 12 + len(VALUES) - 1


def test_trials_of_a_sweep_are_ordinary_trials(open_curve: Make, search: Make) -> None:
    records = search(open_curve(), 3, two_stages).records()
    assert {record.kind for record in records} == {"sampled"}
    assert [record.plan.stages["intermediate"].windows for record in records] == list(VALUES)
    assert [record.sweep_of for record in records] == [None, *[0] * (len(VALUES) - 1)]


def test_steps_that_the_front_gains_nothing_from_are_left_out(open_curve: Make, search: Make) -> None:
    study = search(open_curve(), 18, overlong)
    records = study.records()
    assert families(records)[0] == list(VALUES), "the model has seen nothing yet"
    later = [record.params["intermediate_steps"] for record in records[9:18]]
    assert 200 not in later
    step_sweeps = StepSweeps(SPACE, study._by.response)
    assert step_sweeps.of({"ratio": 0.123, "intermediate_steps": 200}, records)[-1]["intermediate_steps"] == 200, (
        "proposed"
    )


def test_what_was_tried_is_no_trial_of_a_sweep(open_curve: Make, search: Make) -> None:
    study = search(open_curve(), 3, two_stages)
    records = study.records()
    assert StepSweeps(SPACE, study._by.response).of(records[1].params, records) == [records[1].params]
    fresh = StepSweeps(SPACE, study._by.response).of({**records[1].params, "ratio": 0.05}, records)
    assert [params["intermediate_steps"] for params in fresh] == list(VALUES)


def test_trials_of_a_sweep_do_not_run_beside_each_other(open_curve: Make) -> None:
    """Parallel trials of a sweep would train the same first stage twice."""
    study = open_curve()
    first, second = study.next(6), study.next(6)
    assert first is not None
    assert second is not None
    assert first.params["ratio"] != second.params["ratio"]
    assert [first.params["intermediate_steps"], second.params["intermediate_steps"]] == [50, 50]
    assert study.next(6) is None, "the other four of six are their siblings"
    for progress in two_stages(first.params, Context(trial=first.number, seed=0, root=".")):
        study.report(first.number, progress)
    study.complete(first.number)
    third = study.next(6)
    assert third is not None
    assert third.params == {**first.params, "intermediate_steps": 100}


def test_a_beginning_that_was_cut_off_leaves_no_second_trials_of_a_sweep(open_curve: Make, search: Make) -> None:
    """Simulate a connection that breaks after each committed transaction."""
    study = open_curve()
    once = study.storage.run
    study.storage.run = lambda work, **how: (once(work, **how), once(work, **how))[1]  # type: ignore[method-assign]
    assert families(search(study, 6, two_stages).records()) == [list(VALUES)] * 2


def test_a_continued_search_proposes_the_same(open_study: Make, open_curve: Make, search: Make) -> None:
    whole = search(open_curve(), 13, two_stages).records()
    other = plan_of(
        "broken", space=SPACE, rungs=GRID, baselines=(), largest_cost=220.0, languages=("en", "sw"),
        target=TargetScore(score=0.5),
    )  # fmt: skip
    for trials in (1, 5, 8, 13):
        study = search(open_study(other, plan_trial=planned, pruner=("none", {})), trials, two_stages)
        study.close()
    assert [record.params for record in study.records()] == [record.params for record in whole]


def test_a_curve_is_part_of_the_space() -> None:
    assert space_from_json("curve", SPACE.to_json()).parameters == SPACE.parameters
    assert SPACE.to_json()["intermediate_steps"]["type"] == "step_sweep"
