"""Samplers that return baseline mixtures or fit a mixing law."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.space import LogUniform, Ratio, Simplex, Space
from ratio_hpo.study import Study, StudyPlan, TargetScore
from tests.conftest import RUNGS, plan_of

Make = Callable[..., Study]

SIZES = {"en": 8100, "fi": 900, "sw": 100}
SOURCES = {
    name: SourceSize(windows=size, questions=size, tokens=9 * size, reference=name == "en")
    for name, size in SIZES.items()
}
SHARES = {"shares": Simplex(parts=tuple(SIZES))}


def plan(domains: Mapping[str, Any], sources: Mapping[str, SourceSize] = SOURCES) -> StudyPlan:
    """A study without baselines, so that the first trial is proposed."""
    return replace(
        plan_of(space=Space("s", dict(domains)), baselines=(), target=TargetScore(score=0.5)), sources=dict(sources)
    )


def mixture(params: Params, context: Context) -> Iterator[Progress]:
    """Finnish learns from Finnish and English, Swahili from Swahili only; both need more than their size share."""
    shares = params["shares"]
    gains = {"fi": shares["fi"] + 0.3 * shares["en"], "sw": shares["sw"]}
    scores = {f"f1/{name}": 1.0 - 0.6 * float(np.exp(-3 * gain)) for name, gain in gains.items()}
    for windows in RUNGS:
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("reference_only", [{"en": 1.0, "fi": 0.0, "sw": 0.0}]),
        ("proportional", [{"en": 81 / 91, "fi": 9 / 91, "sw": 1 / 91}]),
        ("uniform", [{"en": 1 / 3, "fi": 1 / 3, "sw": 1 / 3}]),
    ],
)
def test_a_rule_gives_its_mixture_and_then_has_no_more(
    rule: str, expected: list[dict[str, float]], open_study: Make, search: Make
) -> None:
    records = search(open_study(plan(SHARES), sampler=(rule, {})), 4).records()
    assert [record.params["shares"] for record in records] == [pytest.approx(each) for each in expected]


def test_temperatures_are_taken_in_turn(open_study: Make, search: Make) -> None:
    options = {"temperatures": [1, 2]}
    records = search(open_study(plan(SHARES), sampler=("temperature", options)), 4).records()
    weights = [np.array([*SIZES.values()]) ** (1 / t) for t in (1, 2)]
    assert [[*r.params["shares"].values()] for r in records] == [pytest.approx(w / w.sum()) for w in weights]


def test_unimax_is_even_up_to_four_epochs(open_study: Make, search: Make) -> None:
    [record] = search(open_study(plan(SHARES), sampler=("unimax", {})), 1).records()
    third = RUNGS[-1] / 3
    assert third < 4 * SIZES["sw"], "no cap binds at this length"
    assert [*record.params["shares"].values()] == pytest.approx([1 / 3] * 3)
    small = SOURCES | {"sw": replace(SOURCES["sw"], windows=5)}
    [record] = search(open_study(replace(plan(SHARES, small), name="small"), sampler=("unimax", {})), 1).records()
    assert record.params["shares"]["sw"] == pytest.approx(4 * 5 / RUNGS[-1])


def test_a_rule_gives_a_ratio_and_draws_the_rest(open_study: Make, search: Make) -> None:
    domains = {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-5, high=1e-3, absolute=True)}
    records = search(open_study(plan(domains), sampler=("proportional", {})), 5).records()
    assert [record.params["ratio"] for record in records] == pytest.approx([10 / 91] * 5)
    assert len({record.params["learning_rate"] for record in records}) == 5


@pytest.mark.parametrize("law", ["regmix", "olmix"])
def test_a_law_finds_a_better_mixture_than_its_design(law: str, open_study: Make, search: Make) -> None:
    records = search(open_study(plan(SHARES), sampler=(law, {"design": 6})), 12, mixture).records()
    scores = [record.scored[-1].primary_score for record in records]
    assert np.mean(scores[-3:]) > np.mean(scores[:6])
    assert min(scores[-3:]) > np.median(scores[:6])


@pytest.mark.parametrize(
    ("name", "options", "domains", "sources", "expected"),
    [
        ("uniform", {"T": 2}, SHARES, SOURCES, "uniform has no option T (it takes none)"),
        ("temperature", {"temperatures": [0.5]}, SHARES, SOURCES, "numbers >= 1"),
        ("temperature", {"temperature": 2}, SHARES, SOURCES, "did you mean 'temperatures'"),
        ("proportional", {}, SHARES, {}, "needs sources"),
        (
            "unimax",
            {},
            SHARES,
            {k: replace(v, windows=0) for k, v in SOURCES.items()},
            "use uniform",
        ),
        ("uniform", {}, {"learning_rate": LogUniform(low=1e-5, high=1e-3, absolute=True)}, SOURCES, "needs a mixture"),
        ("olmix", {}, {"learning_rate": LogUniform(low=1e-5, high=1e-3, absolute=True)}, SOURCES, "needs a mixture"),
        ("olmix", {"design": 1}, SHARES, SOURCES, ">= 2"),
        ("regmix", {"model": "trees"}, SHARES, SOURCES, "linear or lightgbm"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(
    name: str, options: dict[str, Any], domains: Any, sources: Any, expected: str, open_study: Make
) -> None:
    with pytest.raises(ConfigError, match="sampler: ") as told:
        open_study(plan(domains, sources), sampler=(name, options))
    assert expected in str(told.value)
    assert "\n" not in str(told.value)
