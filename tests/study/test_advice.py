"""The advice of the response model about a study, and its storage by the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from ratio_hpo.analysis.recommend import advice_of, pareto, recommend
from ratio_hpo.analysis.status import status
from ratio_hpo.core.trial import Context, Params, Progress, State, TrialRecord
from ratio_hpo.metrics.front import front
from ratio_hpo.study import Baseline, Study
from ratio_hpo.study.advice import advise
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response
from tests.conftest import RUNGS, plan_of

LUCK = 0.03

Make = Callable[..., Study]


def noisy(params: Params, context: Context) -> Iterator[Progress]:
    """An objective that is best at .6 and has a run effect that is constant along the curve of a trial."""
    run_effect = LUCK * float(np.random.default_rng(context.trial).standard_normal())
    for k, windows in enumerate(RUNGS, 1):
        score = (0.8 - 0.3 * (params["ratio"] - 0.6) ** 2) * (0.6 + 0.4 * k / len(RUNGS)) + run_effect
        scores = {f"f1/{name}": score for name in ("en", "sw", "fi", "ko")}
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores)


def test_a_driver_stores_what_the_model_says(open_study: Make, search: Make) -> None:
    study = search(open_study(pruner=("none", {}), sampler=("random", {})), 7, noisy)
    study.adviser.update(study.records())
    assert study.snapshot().advice is None, "too few trials"
    search(study, 14, noisy)
    study.adviser.update(study.records())
    view = study.snapshot()
    assert view.advice is not None
    assert view.advice.is_of(view.records)
    assert advice_of(view) is view.advice
    shown = status(view).recommended
    assert shown is not None
    assert shown.trial == view.advice.trial
    assert not shown.stale


def test_a_reader_asks_anew_what_is_stale(open_study: Make, search: Make) -> None:
    study = search(open_study(pruner=("none", {}), sampler=("random", {})), 10, noisy)
    study.adviser.update(study.records())
    stored = study.snapshot().advice
    search(study, 14, noisy)
    while study.snapshot().advice != stored:  # the driver may have stored newer advice in the meantime
        stored = study.snapshot().advice
    view = study.snapshot()
    fresh = advice_of(view)
    assert fresh is not None
    assert fresh.is_of(view.records)


def test_luck_is_told_from_merit(open_study: Make, search: Make) -> None:
    study = search(open_study(pruner=("none", {}), sampler=("random", {})), 24, noisy)
    study.adviser.update(study.records())
    view = study.snapshot()
    found = recommend(view)
    assert found is not None
    assert found.mean is not None
    seen, best = found.best_seen.scored[-1].primary_score, 0.8
    assert seen > best + LUCK, "the best score seen is too good to be true"
    assert found.mean == pytest.approx(best, abs=0.02)
    assert found.record.params["ratio"] == pytest.approx(0.6, abs=0.25)
    content = pareto(view)
    assert [point.trial for point in content.points] == [point.trial.number for point in front(view.records)]
    assert all(0.0 <= (point.probability or 0.0) < 0.9 for point in content.points), "none of them is sure"
    assert content.also_likely, "others may well belong there"


def cheap_without(params: Params, context: Context) -> Iterator[Progress]:
    """A trial without an intermediate stage is scored first, with a known error; later, other trials overtake it."""
    if params.get("no_intermediate"):
        for windows in (3, 6):
            scores = {f"f1/{name}": 0.3 + 0.01 * windows for name in ("en", "sw", "fi", "ko")} | {"score_error": 0.02}
            yield Progress(stage="target", windows=windows, cost=windows, scores=scores)
    else:
        yield from noisy(params, context)


def test_the_base_alone_stands_on_the_front_where_nothing_is_cheaper(open_study: Make, search: Make) -> None:
    """It has no mixture, so the model does not predict it. Its points are used as measured."""
    english = Baseline(kind="reference_only", params={"ratio": 0.0, "learning_rate": 1e-3})
    plan = plan_of(baselines=(english, Baseline(kind="none", params={"no_intermediate": True})))
    study = search(open_study(plan, pruner=("none", {}), sampler=("random", {})), 12, cheap_without)
    study.adviser.update(study.records())
    shown = {(p.trial, p.windows): p.probability or 0.0 for p in pareto(study.snapshot()).points}
    assert shown[1, 3] == 1.0
    assert 0.5 < shown[1, 6] < 1.0, "the cheaper one may be as good: they are a standard error apart"
    model = study.adviser._response.model(study.records())
    assert model._gain.at(np.array([2.0, 3.0, 6.0])).tolist() == pytest.approx([0.0, 0.33, 0.36])


def test_probabilities_are_sure_where_nothing_is_noisy(open_study: Make, search: Make) -> None:
    def clear(params: Params, context: Context) -> Iterator[Progress]:
        for k, windows in enumerate(RUNGS, 1):
            score = (0.9 - 0.8 * abs(params["ratio"] - 0.5)) * (0.5 + 0.1 * k)
            yield Progress(stage="target", windows=windows, cost=windows, scores={"f1/en": score, "f1/sw": score})

    study = search(open_study(pruner=("none", {}), sampler=("grid", {"parts": 9})), 11, clear)
    study.adviser.update(study.records())
    content = pareto(study.snapshot())
    assert all((point.probability or 0.0) > 0.6 for point in content.points)


def test_of_very_many_trials_the_good_ones_are_not_forgotten() -> None:
    """There are more trials than the model has points, and the best trials are among the first."""
    plan = plan_of(languages=())

    def record(number: int) -> TrialRecord:
        ratio = (number * 0.618) % 1.0
        score = (0.9 if number < 40 else 0.5) - 0.2 * (ratio - 0.6) ** 2
        curve = tuple(
            Progress(stage="target", windows=windows, cost=windows, scores={"score/mean": score})
            for windows in RUNGS[-2:]
        )
        params = {"ratio": ratio, "learning_rate": 1e-3 if number < 40 else 1e-4}
        return TrialRecord(number=number, state=State.COMPLETE, kind="sampled", params=params, curve=curve)

    records = [record(number) for number in range(450)]
    planned_curves = PlannedCurves(plan.space, plan.rungs, plan.largest_cost, "windows")
    advice = advise(Response(plan.space, planned_curves), records)
    assert advice is not None
    assert advice.trial < 40
    assert advice.mean == pytest.approx(0.9, abs=0.02)
