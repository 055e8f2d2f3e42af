"""Every Optuna pruner in a study with two objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import optuna
import pytest

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Context, Decision, Params, Progress, State, TrialRecord
from ratio_hpo.pruners.base import Pruner
from ratio_hpo.pruners.optuna import OptunaPruner
from ratio_hpo.pruners.registry import PRUNERS, check_pruner, check_pruner_name
from ratio_hpo.space import Ratio, Space
from ratio_hpo.study import Study
from ratio_hpo.surrogate.trials import Trials
from tests.conftest import LANGUAGES, RUNGS, plan_of

OPTIONS: dict[str, dict[str, Any]] = {
    "threshold": {"lower": 0.2},
    "median": {"n_startup_trials": 2},
    "percentile": {"n_startup_trials": 2},
}


PRUNED_AT: dict[str, dict[int, int]] = {
    "none": {},
    "front": {**dict.fromkeys(range(6, 11), 1), 11: 2},
    "patient": dict.fromkeys(range(6, 12), 3),  # two rungs without an improvement
    "hyperband": {6: 1, 11: 2},  # hashes of their numbers put the others in brackets that decide later
}
"""The rung at which each bad trial is stopped. Pruners that are not listed stop every bad trial at the first rung."""


SPACE = Space("pruning", {"ratio": Ratio()})


def point(value: float, windows: int, stage: str = "target") -> Progress:
    scores = {f"score/{language}": value * (1 - 0.01 * k) for k, language in enumerate(LANGUAGES)}
    return Progress(stage=stage, windows=windows, cost=windows, scores=scores).with_means()


def good_then_bad(params: Params, context: Context) -> Iterator[Progress]:
    """Trials from number 6 on are bad from the start and get worse."""
    for k, windows in enumerate(RUNGS):
        yield point(0.15 - 0.01 * k if context.trial >= 6 else 0.5 + 0.04 * k, windows)


@pytest.mark.parametrize("name", PRUNERS.names())
def test_every_pruner_stops_bad_trials_and_keeps_their_curve(name: str, open_study: Callable, search: Callable) -> None:
    study = search(open_study(pruner=(name, OPTIONS.get(name, {}))), 12, good_then_bad)
    records = study.records()
    assert all(record.state.finished for record in records)
    assert all(record.state is State.COMPLETE for record in records if record.is_baseline)
    pruned = [record for record in records if record.state is State.PRUNED]
    assert {record.number: len(record.curve) for record in pruned} == PRUNED_AT.get(
        name, dict.fromkeys(range(6, 12), 1)
    )
    assert all(record.values is None for record in pruned)
    assert all(f"pruned by {name} at target window" in str(record.reason) for record in pruned)


class Driven:
    """Trials whose evaluations a pruner decides on, one after the other."""

    def __init__(self, pruner: Pruner, records: Sequence[TrialRecord] = ()) -> None:
        self.pruner, self.records, self._clock = pruner, list(records), 2e9

    def decide(self, number: int, progress: Progress) -> Decision:
        while len(self.records) <= number:
            self.records.append(
                TrialRecord(number=len(self.records), state=State.RUNNING, kind="sampled", params={"ratio": 0.5})
            )
        self._clock += 1.0
        curve = (*self.records[number].curve, replace(progress, time=self._clock))
        self.records[number] = replace(self.records[number], curve=curve)
        return self.pruner.decide(Trials(space=SPACE, records=self.records), self.records[number])

    def end(self, number: int, state: State) -> None:
        self.records[number] = replace(self.records[number], state=state)


@pytest.mark.parametrize("name", [name for name in PRUNERS.names() if name != "front"])
def test_a_reopened_study_decides_as_the_first_driver_would(name: str, open_study: Callable, search: Callable) -> None:
    options = (name, OPTIONS.get(name, {}))
    study: Study = search(open_study(pruner=options), 8, good_then_bad)
    again = open_study(pruner=options)
    both = [Driven(s._by.pruner, s.records()) for s in (study, again)]
    decisions = [[driven.decide(8, point(0.1, windows)) for windows in RUNGS[:3]] for driven in both]
    assert decisions[0] == decisions[1]


STOPS: list[tuple[str, dict[str, Any], list[list[float]], list[int | None]]] = [
    # stops as soon as a value is below the bound
    ("threshold", {"lower": 0.3}, [[0.4, 0.5, 0.2, 0.9], [0.2], [0.3, 0.3, 0.3, 0.3]], [3, 1, None]),
    # two complete trials; compares the best value so far with the median at that rung: .6 .7 .8 .85
    (
        "median",
        {"n_startup_trials": 2},
        [[0.5, 0.6, 0.7, 0.8], [0.7, 0.8, 0.9, 0.9], [0.65, 0.65, 0.65], [0.61, 0.71, 0.1, 0.84], [0.59]],
        [None, None, 2, 3, 1],
    ),
    # keeps the best quarter: percentile 75 of (.1 .2 .3 .4) at each rung is .325
    (
        "percentile",
        {"n_startup_trials": 4},
        [[0.1] * 4, [0.2] * 4, [0.3] * 4, [0.4] * 4, [0.32], [0.33, 0.33, 0.33, 0.33]],
        [None, None, None, None, 1, None],
    ),
    # stops if the last two values do not improve on the best earlier value
    ("patient", {"patience": 1}, [[0.5, 0.4, 0.3, 0.2], [0.5, 0.4, 0.6, 0.55], [0.1, 0.2, 0.3, 0.4]], [3, None, None]),
    # factor 2: the better half of the trials at a rung continues; rungs 1, 2 and 4 decide, rung 3 does not
    (
        "successive_halving",
        {},
        [[0.5, 0.5, 0.5, 0.5], [0.4], [0.6, 0.4], [0.6, 0.6, 0.1, 0.6], [0.6, 0.6, 0.7, 0.4]],
        [None, 1, 2, None, 4],
    ),
    # the hash of its number gives a trial its bracket; the better half of the trials that reached a rung continues
    (
        "hyperband",
        {},
        [[0.5] * 4, [0.4] * 4, [0.6, 0.4, 0.4, 0.4], [0.3] * 4, [0.2] * 4, [0.7] * 4, [0.1] * 4, [0.05] * 4],
        [None, 2, None, 1, None, None, 4, 1],
    ),
    ("none", {}, [[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]], [None, None]),
]
"""For each pruner: the values of consecutive trials at four rungs, and the rung at which each trial is stopped."""


@pytest.mark.parametrize(("name", "options", "curves", "expected"), STOPS, ids=[case[0] for case in STOPS])
def test_trials_are_stopped_at_these_rungs(
    name: str, options: dict[str, Any], curves: list[list[float]], expected: list[int | None]
) -> None:
    driven = Driven(OptunaPruner(name, options, {"target": (10, 20, 30, 40)}, LANGUAGES))
    stops: list[int | None] = []
    for number, values in enumerate(curves):
        stop = None
        for rung, value in enumerate(values, 1):
            scores = {f"score/{language}": value for language in LANGUAGES}
            progress = Progress(stage="target", windows=10 * rung, cost=10.0 * rung, scores=scores).with_means()
            if driven.decide(number, progress) is Decision.STOP:
                stop = rung
                break
        stops.append(stop)
        driven.end(number, State.COMPLETE if stop is None else State.PRUNED)
    assert stops == expected


@pytest.mark.parametrize(
    ("scores", "stop"),
    [
        ([0.51, 0.52, 0.50, 0.53, 0.54, 0.55], False),
        ([0.30, 0.31, 0.32, 0.33, 0.34, 0.29], True),  # worse in every language
        ([0.50, 0.49, 0.60, 0.48, 0.51, 0.50], False),  # no language is much worse
    ],
)
def test_wilcoxon_compares_by_language(scores: list[float], stop: bool) -> None:
    languages = ["en", "sw", "ko", "fi", "de", "ru"]
    driven = Driven(OptunaPruner("wilcoxon", {}, {"target": (10,)}, languages))
    for number, values in enumerate(([0.5] * 6, scores)):
        given = {f"score/{language}": value for language, value in zip(languages, values, strict=True)}
        decision = driven.decide(number, Progress(stage="target", windows=10, cost=10.0, scores=given).with_means())
        driven.end(number, State.COMPLETE)
    assert decision is (Decision.STOP if stop else Decision.CONTINUE)


@pytest.mark.parametrize(
    ("values", "stop"), [((0.1, 0.9, 0.9), False), ((0.1, 0.1, 0.9), True), ((0.1, 0.9), False), ((0.1, 0.1), True)]
)
def test_stages_that_advance_in_turns_stop_where_more_than_half_say_so(values: tuple[float, ...], stop: bool) -> None:
    names = "abc"[: len(values)]
    rungs = {f"target.{name}": (10, 20) for name in names}
    driven = Driven(OptunaPruner("threshold", {"lower": 0.5}, rungs, ["en"]))
    scores = {f"{name}/mean": value for name, value in zip(names, values, strict=True)}
    progress = Progress(
        stage="target", windows=10 * len(names), cost=10.0, scores={**scores, "score/mean": 0.5},
        parts=dict.fromkeys(rungs, 10),
    )  # fmt: skip
    assert driven.decide(0, progress) is (Decision.STOP if stop else Decision.CONTINUE)


def test_stages_are_compared_apart() -> None:
    """A trial that enters the target stage is compared with target scores only."""
    driven = Driven(OptunaPruner("successive_halving", {}, {"intermediate": (10, 20), "target": (5, 10)}, LANGUAGES))
    for number in range(4):
        assert driven.decide(number, point(0.9, 10, "intermediate")) is Decision.CONTINUE
    assert driven.decide(0, point(0.2, 5)) is Decision.CONTINUE
    assert driven.decide(1, point(0.3, 5)) is Decision.CONTINUE
    assert driven.decide(2, point(0.1, 5)) is Decision.STOP


def test_places_off_the_rungs_decide_nothing() -> None:
    driven = Driven(OptunaPruner("threshold", {"lower": 0.9}, {"target": (10,)}, LANGUAGES))
    assert driven.decide(0, point(0.1, 7)) is Decision.CONTINUE
    assert driven.decide(0, point(0.1, 10)) is Decision.STOP


def test_baselines_are_never_pruned(open_study: Callable, search: Callable) -> None:
    study = search(open_study(pruner=("threshold", {"lower": 2.0})), 4, good_then_bad)
    assert [r.state for r in study.records()] == [State.COMPLETE, State.COMPLETE, State.PRUNED, State.PRUNED]


def test_wilcoxon_needs_four_languages() -> None:
    with pytest.raises(ConfigError, match="needs 4 target languages or more, but got 3"):
        check_pruner("wilcoxon", {}, ["en", "sw", "ko"])


def test_bad_pruners_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown pruner 'halving'"):
        check_pruner_name("halving")
    with pytest.raises(ConfigError, match="median refuses its options"):
        check_pruner("median", {"n": 1}, LANGUAGES)


def test_optuna_sees_two_objectives_and_no_intermediate_values(open_study: Callable, search: Callable) -> None:
    study = search(open_study(), 6)
    stored = optuna.load_study(study_name="study", storage=study.storage)
    assert [direction.name for direction in stored.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(not trial.intermediate_values for trial in stored.trials)
    assert plan_of().name == "study"
