"""Every pruner of Optuna in a study of two objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Context, Decision, Params, Progress, State
from ratio_hpo.study import Study
from ratio_hpo.study.pruning import NAMES, Shadows, check_pruner
from tests.conftest import LANGUAGES, RUNGS, plan_of

OPTIONS: dict[str, dict[str, Any]] = {
    "threshold": {"lower": 0.2},
    "median": {"n_startup_trials": 2},
    "percentile": {"n_startup_trials": 2},
}


def point(value: float, windows: int, stage: str = "target") -> Progress:
    scores = {f"prune/f1/{language}": value * (1 - 0.01 * k) for k, language in enumerate(LANGUAGES)}
    return Progress(
        stage=stage, windows=windows, cost=windows, scores={**scores, **{f"f1/{x}": 0.5 for x in LANGUAGES}}
    )


def good_then_bad(params: Params, context: Context) -> Iterator[Progress]:
    """Trials from number 6 on are bad from the start, and fall."""
    for k, windows in enumerate(RUNGS):
        yield point(0.15 - 0.01 * k if context.trial >= 6 else 0.5 + 0.04 * k, windows)


@pytest.mark.parametrize("name", NAMES)
def test_every_pruner_stops_bad_trials_and_keeps_their_curve(name: str, open_study: Callable, search: Callable) -> None:
    study = search(open_study(pruner=(name, OPTIONS.get(name, {}))), 12, good_then_bad)
    records = study.records()
    assert all(record.state.finished for record in records)
    assert all(record.state is State.COMPLETE for record in records if record.is_anchor)
    late = [record for record in records if record.number >= 6]
    if name == "none":
        assert all(record.state is State.COMPLETE for record in late)
    else:
        pruned = [record for record in late if record.state is State.PRUNED]
        assert len(pruned) >= 2
        assert all(1 <= len(record.curve) < len(RUNGS) and record.values is None for record in pruned)
        assert all(f"pruned by {name} at target window" in str(record.reason) for record in pruned)


@pytest.mark.parametrize("name", NAMES)
def test_rebuilt_shadows_decide_as_the_first_ones_would(name: str, open_study: Callable, search: Callable) -> None:
    study: Study = search(open_study(pruner=(name, OPTIONS.get(name, {}))), 8, good_then_bad)
    decisions = []
    for _ in range(2):
        shadows = Shadows(name, OPTIONS.get(name, {}), {"target": RUNGS}, LANGUAGES)
        shadows.replay(study.records())
        decisions.append([shadows.report(8, point(0.1, windows)) for windows in RUNGS[:3]])
    assert decisions[0] == decisions[1]
    live = [study._shadows.report(8, point(0.1, windows)) for windows in RUNGS[:3]]
    assert live == decisions[0]


def test_stages_are_compared_apart() -> None:
    """A trial that enters the target stage is compared with target scores alone."""
    shadows = Shadows("successive_halving", {}, {"intermediate": (10, 20), "target": (5, 10)}, LANGUAGES)
    for number in range(4):
        assert shadows.report(number, point(0.9, 10, "intermediate")) is Decision.CONTINUE
    assert shadows.report(0, point(0.2, 5)) is Decision.CONTINUE
    assert shadows.report(1, point(0.3, 5)) is Decision.CONTINUE
    assert shadows.report(2, point(0.1, 5)) is Decision.STOP


def test_places_off_the_rungs_decide_nothing() -> None:
    shadows = Shadows("threshold", {"lower": 0.9}, {"target": (10,)}, LANGUAGES)
    assert shadows.report(0, point(0.1, 7)) is Decision.CONTINUE
    assert shadows.report(0, point(0.1, 10)) is Decision.STOP


def test_anchors_are_never_pruned(open_study: Callable, search: Callable) -> None:
    study = search(open_study(pruner=("threshold", {"lower": 2.0})), 4, good_then_bad)
    assert [r.state for r in study.records()] == [State.COMPLETE, State.COMPLETE, State.PRUNED, State.PRUNED]


def test_wilcoxon_needs_four_languages() -> None:
    with pytest.raises(ConfigError, match="needs 4 target languages or more, but got 3"):
        check_pruner("wilcoxon", {}, ["en", "sw", "ko"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("halving", {}, "unknown pruner 'halving'"), ("median", {"n": 1}, "median refuses its options")],
)
def test_bad_pruners_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_pruner(name, options, LANGUAGES)


def test_optuna_sees_two_objectives_and_no_intermediate_values(open_study: Callable, search: Callable) -> None:
    study = search(open_study(), 6)
    stored = optuna.load_study(study_name="study", storage=study.storage)
    assert [direction.name for direction in stored.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(not trial.intermediate_values for trial in stored.trials)
    assert plan_of().name == "study"
