"""Warm start: prior knowledge is used where it is correct, and unlearned where it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from ratio_hpo.core.errors import ConfigError, StudyError
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.space import LogUniform, Ratio, Simplex, Space
from ratio_hpo.study import Study, TargetScore
from ratio_hpo.surrogate.features import Features, FeatureTable, Point
from ratio_hpo.surrogate.model import ResponseModel
from tests.conftest import curve_objective, plan_of

Make = Callable[..., Study]

LONGER = tuple(range(20, 220, 20))
"""Rungs of a budget that is twice as large."""


def twice_as_long(params: Params, context: Context) -> Iterator[Progress]:
    """The same response with other languages and twice the windows."""
    for point in curve_objective(params, context):
        scores = {"f1/tr": point.scores["f1/sw"]}
        yield Progress(stage="target", windows=2 * point.windows, cost=2 * point.cost, scores=scores)


def sampled(study: Study) -> list[float]:
    return [record.params["ratio"] for record in study.records() if not record.is_baseline]


def begun_with(options: Mapping[str, Any], open_study: Make, search: Callable, count: int, name: str = "warm") -> Study:
    study = open_study(plan_of(name), sampler=("mixture", options), pruner=("none", {}))
    return search(study, count)


def test_a_believed_ratio_is_tried_first(open_study: Make, search: Callable) -> None:
    first = sampled(begun_with({"prior": {"ratio": 0.85}}, open_study, search, 3))[0]
    assert abs(first - 0.85) < 0.05


def test_a_wrong_belief_is_unlearned(open_study: Make, search: Callable) -> None:
    study = begun_with({"prior": {"ratio": 0.05}}, open_study, search, 16)
    late = sorted(abs(ratio - 0.6) for ratio in sampled(study)[8:])
    assert late[2] < 0.02


def test_another_study_with_other_languages_and_half_the_budget_is_learned_from(
    open_study: Make, search: Callable
) -> None:
    search(open_study(plan_of("elsewhere"), pruner=("none", {})), 14)
    plan = plan_of("warm", rungs={"target": LONGER}, languages=("tr",), largest_cost=200.0, baselines=(),
                   target=TargetScore(score=0.5))  # fmt: skip
    study = open_study(plan, sampler=("mixture", {"warm_start": "elsewhere"}), pruner=("none", {}))
    assert abs(sampled(search(study, 1, twice_as_long))[0] - 0.6) < 0.05


def test_a_continued_study_proposes_as_if_it_had_not_stopped(open_study: Make, search: Callable) -> None:
    search(open_study(plan_of("elsewhere"), pruner=("none", {})), 10)
    whole = sampled(begun_with({"warm_start": "elsewhere"}, open_study, search, 9, "whole"))
    begun_with({"warm_start": "elsewhere"}, open_study, search, 5, "parts")
    search(open_study(plan_of("elsewhere"), pruner=("none", {})), 14)  # the source study continues in the meantime
    parts = sampled(begun_with({"warm_start": "elsewhere"}, open_study, search, 9, "parts"))
    assert parts == whole


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"warm_start": "nobody"}, StudyError, "no study named 'nobody'"),
        ({"warm_start": "young"}, StudyError, "needs 8 ended trials, but only 2 have ended"),
        ({"warm_start": "warm"}, ConfigError, "cannot be its own warm start"),
        ({"warm_start": "shares"}, StudyError, "mixes en, fi, but this study mixes reference, others"),
        ({"prior": {"ratio": 1.5}}, ConfigError, "ratio"),
        ({"prior": {"raito": 0.5}}, ConfigError, "raito"),
        ({"prior": {}}, ConfigError, "needs a parameter"),
        ({"prior": 0.3}, ConfigError, "needs values by parameter"),
        ({"priors": {"ratio": 0.3}}, ConfigError, "has no option priors"),
    ],
)
def test_what_says_nothing_of_this_study_is_refused(
    options: dict[str, Any], error: type[Exception], says: str, open_study: Make, search: Callable
) -> None:
    search(open_study(plan_of("young")), 2)
    parts = Space("shares", {"shares": Simplex(parts=("en", "fi"))})
    shares = plan_of("shares", space=parts, baselines=(), target=TargetScore(score=0.5))

    def by_share(params: Params, context: Context) -> Iterator[Progress]:
        yield from curve_objective({"ratio": params["shares"]["fi"]}, context)

    search(open_study(shares), 9, by_share)
    with pytest.raises(error, match=says):
        open_study(plan_of("warm"), sampler=("mixture", options))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_true_belief_and_its_opposite_say_as_much(sign: float) -> None:
    space = Space("s", {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True)})
    features = Features(space, {})
    rng = np.random.default_rng(0)

    def table(count: int) -> FeatureTable:
        rates = 10 ** rng.uniform(-4, -2, count)
        ratios = rng.uniform(0, 1, count)
        return features.table(
            [Point(params={"ratio": r, "learning_rate": lr}, windows={}) for r, lr in zip(ratios, rates, strict=True)]
        )

    def wavy(places: FeatureTable) -> np.ndarray:
        return np.sin(9 * places.shares[:, 1]) + np.cos(7 * places.others[:, 0])

    seen, unseen = table(14), table(200)
    scores = (0.5 + 0.1 * wavy(seen))[:, None]
    errors = {}
    for name, priors in {"none": (), "belief": (lambda places: sign * wavy(places),)}.items():
        model = ResponseModel(features.blocks, 0, seen, scores, priors=priors)
        errors[name] = float(np.abs(model.predict(unseen).mean - (0.5 + 0.1 * wavy(unseen))).mean())
    assert errors["belief"] < 0.7 * errors["none"]
