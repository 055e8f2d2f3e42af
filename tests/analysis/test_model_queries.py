"""Queries to the response model, on objectives whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ratio_hpo import (
    Context,
    LoadedStudy,
    LogUniform,
    Params,
    Progress,
    Ratio,
    Simplex,
    Steps,
    StudyError,
    Uniform,
    search,
)
from ratio_hpo.analysis.model_queries import GRID, ModelQueries
from ratio_hpo.analysis.query_results import ModelAnswers
from tests.cli.test_commands import documented

QUIET: dict[str, Any] = {"tracking": False, "progress": False, "isolated": False}


def peaked(params: Params, context: Context) -> Iterator[Progress]:
    """Swahili scores best at ratio .7, English at 0; the learning rate has no effect."""
    ratio = params["ratio"]
    for windows in (25, 50, 100):
        grown = 0.5 + 0.5 * windows / 100
        scores = {"f1/sw": grown * (0.9 - 0.8 * (ratio - 0.7) ** 2), "f1/en": grown * (0.9 - 0.1 * ratio**2)}
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> LoadedStudy:
    space = {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2)}
    root = tmp_path_factory.mktemp("answers")
    return search(peaked, space, rungs=[25, 50, 100], trials=14, sampler="qmc", pruner="none", root=root, **QUIET)


@pytest.fixture(scope="module")
def told(study: LoadedStudy) -> ModelAnswers:
    return study.ask(weights={"sw": 3, "en": 1}, max_cost=50)


def test_the_best_ratio_is_where_it_is(told: ModelAnswers) -> None:
    best = told.best
    assert best["sw"].ratio == pytest.approx(0.7, abs=0.1)
    assert best["en"].ratio == pytest.approx(0.0, abs=0.15)
    assert best["en"].ratio < best["mean"].ratio < best["sw"].ratio + 0.05
    assert best["mean"].low <= best["mean"].ratio <= best["mean"].high
    assert best["weighted"].ratio >= best["mean"].ratio


def test_the_curve_holds_what_is_true(told: ModelAnswers) -> None:
    held = 0
    for point in told.curve:
        true = (0.9 - 0.8 * (point.ratio - 0.7) ** 2 + 0.9 - 0.1 * point.ratio**2) / 2
        held += point.low - 0.01 <= true <= point.high + 0.01
    assert held >= 0.8 * len(told.curve)


def test_it_stops_helping_before_the_peak(told: ModelAnswers) -> None:
    assert told.stops_helping == pytest.approx(told.best["mean"].ratio - 0.05, abs=0.1)


def test_what_does_nothing_matters_least(told: ModelAnswers) -> None:
    parts = {each.parameter: each.part for each in told.importance}
    assert told.importance[0].parameter == "ratio"
    assert parts["ratio"] > 3 * parts["learning_rate"]


def test_a_cost_limit_is_kept(told: ModelAnswers, study: LoadedStudy) -> None:
    assert told.best_under_cost is not None
    assert told.best_under_cost.cost <= 50
    with pytest.raises(StudyError, match="no rung costs 10 windows or less; the cheapest rung costs 25"):
        study.ask(max_cost=10)


def test_less_training_than_reference_only_is_needed(told: ModelAnswers) -> None:
    assert told.speed is not None
    assert told.speed.low <= told.speed.times <= told.speed.high
    assert told.speed.times > 1.0


def test_its_json_is_what_the_documentation_says(told: ModelAnswers) -> None:
    assert set(told.to_json()) == documented()["ask"]


def test_what_cannot_be_asked_is_told(study: LoadedStudy, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="the space has no parameter lr"):
        study.ask({"lr": 1})
    with pytest.raises(StudyError, match=r"weights: ru is not a scored language; use en, sw"):
        study.ask(weights={"ru": 1})
    few = search(peaked, {"ratio": Ratio()}, rungs=[25, 50, 100], trials=4, root=tmp_path, **QUIET)
    with pytest.raises(StudyError, match="needs 8 ended trials, one of them COMPLETE, but 4 have ended"):
        few.ask()


def test_shares_are_asked_along_what_the_best_trial_mixes(tmp_path: Path) -> None:
    def mixed(params: Params, context: Context) -> Iterator[Progress]:
        shares = params["shares"]
        score = 0.5 + 0.4 * (1 - (shares["sw"] - 0.5) ** 2 - (shares["ko"] - 0.1) ** 2) * min(1.0, params["rate"])
        yield Progress(stage="target", windows=100, cost=100, scores={"f1/mean": score})

    space = {"shares": Simplex(parts=("en", "sw", "ko")), "rate": Uniform(low=0.5, high=1.0)}
    study = search(mixed, space, rungs=[100], trials=16, root=tmp_path, **QUIET)
    told = study.ask()
    assert told.along.startswith("the other sources mixed as in trial")
    assert 0.3 < told.best["mean"].ratio < 0.9
    assert set(told.best) == {"mean"}


def test_a_stored_study_knows_where_steps_of_another_length_end(tmp_path: Path) -> None:
    """A study is read without a planner: the stored trial plans give the length of each stage."""
    from ratio_hpo.core.plans import StagePlan, TrialPlan
    from ratio_hpo.core.trial import State, TrialRecord
    from ratio_hpo.space import Space
    from ratio_hpo.surrogate.planned_curve import PlannedCurves

    def plan(steps: int) -> TrialPlan:
        lengths = {"intermediate": steps, "target": 10}
        return TrialPlan(
            cost=8.0 * sum(lengths.values()),
            stages={
                name: StagePlan(steps=n, windows=8 * n, ratio=0, ratio_realised=0, ratio_realised_tokens=0)
                for name, n in lengths.items()
            },
        )

    space = Space("steps", {"ratio": Ratio(), "intermediate_steps": Steps(values=(50.0, 100.0, 200.0), absolute=True)})
    planned_curves = PlannedCurves(space, {"intermediate": (400, 800, 1600), "target": (40, 80)}, 1680.0, "windows")
    planned_curves.learn([
        TrialRecord(number=0, state=State.COMPLETE, kind="reference_only",
                    params={"ratio": 0.0, "intermediate_steps": 100}, plan=plan(100))
    ])  # fmt: skip
    assert planned_curves.of({"ratio": 0.5, "intermediate_steps": 50}).costs.tolist() == [400, 440, 480]
    assert planned_curves.of({"ratio": 0.5, "intermediate_steps": 200}).costs.tolist() == [400, 800, 1600, 1640, 1680]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (lambda r: r, None),
        (lambda r: 1 - r, 0.0),
        (lambda r: -((r - 0.6) ** 2), 0.55),
        (lambda r: r - 0.3 * (0.02 < r < 0.12), None),
        (lambda r: min(r, 0.6) - 0.3 * (0.02 < r < 0.12) - max(r - 0.6, 0), 0.55),
    ],
)
def test_a_local_dip_is_not_where_more_stops_helping(curve: Callable[[float], float], expected: float | None) -> None:
    answers = ModelQueries.__new__(ModelQueries)
    answers.ratios = np.linspace(0.0, 1.0, GRID)
    answers._means = np.array([[curve(ratio) for ratio in answers.ratios]] * 3)
    helps = answers.stops_helping()
    assert helps == (None if expected is None else pytest.approx(expected, abs=0.06))


def test_a_reference_that_is_best_is_not_compared_with_itself(tmp_path: Path) -> None:
    def falling(params: dict[str, Any], context: Any) -> Any:
        for windows in (25, 50, 100):
            score = 0.9 - 0.5 * params["ratio"] - 5 / windows
            yield Progress(stage="target", windows=windows, cost=windows, scores={"score/en": score, "score/sw": score})

    found = search(falling, {"ratio": Ratio()}, rungs=[25, 50, 100], trials=12, root=tmp_path, pruner="none", **QUIET)
    assert found.ask().best["mean"].ratio == pytest.approx(0.0, abs=0.05)
    speed = found.ask().speed
    assert speed is None or speed.ratio > 0.0
    assert found.status().measure == "score", "what the objective yields is of no measure that is known"
