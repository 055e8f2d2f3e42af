"""Our sampler in plain Optuna, on storages without our tables."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from ratio_hpo import MixtureSampler
from ratio_hpo.space import Choice, LogUniform, Ratio, Simplex, Space, Steps, suggest_ratio, suggest_simplex

PARTS = ("en", "fi", "sw")
SPACE = Space(
    "mine",
    {
        "shares": Simplex(parts=PARTS),
        "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True),
        "steps": Steps(values=(10, 20), absolute=True),
        "schedule": Choice(options=("a", "b")),
    },
)


def objective(trial: optuna.Trial) -> float:
    """Return the loss. The optimum 0 is at equal shares, learning rate 1e-3, schedule b and 20 steps."""
    shares = suggest_simplex(trial, "shares", PARTS)
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    loss = sum((share - 1 / 3) ** 2 for share in shares.values()) + 0.1 * np.log10(rate / 1e-3) ** 2
    loss += 0.2 * (trial.suggest_categorical("schedule", ("a", "b")) == "a")
    return float(loss + 0.1 * (trial.suggest_categorical("steps", (10, 20)) == 10))


def storages(tmp_path: Path) -> list[Any]:
    return [
        InMemoryStorage(),
        JournalStorage(JournalFileBackend(str(tmp_path / "journal"))),
        f"sqlite:///{tmp_path / 'studies.db'}",
    ]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_it_works_on_every_storage_and_beats_chance(which: int, tmp_path: Path) -> None:
    study = optuna.create_study(storage=storages(tmp_path)[which], sampler=MixtureSampler(SPACE, seed=0))
    study.optimize(objective, n_trials=24)
    by_chance = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    by_chance.optimize(objective, n_trials=24)
    assert study.best_value < 0.5 * by_chance.best_value


def test_what_the_value_is_the_mean_of_is_modelled_apart() -> None:
    space = Space("mine", {"shares": Simplex(parts=tuple("abcdef"))})

    def mean(trial: optuna.Trial) -> float:
        shares = suggest_simplex(trial, "shares", tuple("abcdef"))
        scores = {part: 1 - np.exp(-6 * share) for part, share in shares.items()}
        trial.set_user_attr("scores", {part: float(score) for part, score in scores.items()})
        return float(np.mean(list(scores.values())))

    study = optuna.create_study(direction="maximize", sampler=MixtureSampler(space, seed=1))
    study.optimize(mean, n_trials=14)
    assert study.best_value > 0.97 * (1 - np.exp(-1))  # the optimum: one sixth each


def test_several_objectives_get_a_front() -> None:
    space = Space("mine", {"ratio": Ratio()})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=MixtureSampler(space, seed=0))
    study.optimize(lambda trial: ((r := suggest_ratio(trial)), r**2), n_trials=20)
    ratios = [trial.params["ratio"] for trial in study.best_trials]
    assert max(ratios) - min(ratios) > 0.5


def test_proposals_follow_from_the_seed_and_what_was_seen() -> None:
    both = []
    for _ in range(2):
        study = optuna.create_study(sampler=MixtureSampler(SPACE, seed=3))
        study.optimize(objective, n_trials=7)
        study.sampler = MixtureSampler(SPACE, seed=3)  # as after a restart
        study.optimize(objective, n_trials=4)
        both.append([trial.params for trial in study.trials])
    assert both[0] == both[1]


def test_failed_stopped_and_foreign_trials_are_no_trouble() -> None:
    study = optuna.create_study(sampler=MixtureSampler(SPACE, seed=0))
    study.add_trial(optuna.trial.create_trial(value=1.0))

    def sometimes(trial: optuna.Trial) -> float:
        value = objective(trial)
        trial.suggest_float("beside", 0, 1)
        if trial.number % 5 == 4:
            raise optuna.TrialPruned
        if trial.number % 5 == 3:
            return float("nan")
        return value

    study.optimize(sometimes, n_trials=16)
    assert len(study.trials) == 17


PLAIN = Space("plain", {"ratio": Ratio(), "lr": LogUniform(low=1e-5, high=1e-3)})


def run(objective: Any, direction: str = "maximize", trials: int = 10, space: Space = PLAIN) -> Any:
    study = optuna.create_study(direction=direction, sampler=MixtureSampler(space, seed=0))
    study.optimize(objective, n_trials=trials)
    return study


def suggested(trial: Any, *, lr: str = "lr") -> tuple[float, float]:
    return suggest_ratio(trial), trial.suggest_float(lr, 1e-5, 1e-3, log=True)


@pytest.mark.parametrize("odd", [math.nan, None, math.inf, "text"])
def test_one_odd_score_ends_no_study(odd: Any) -> None:
    def objective(trial: Any) -> float:
        ratio, _ = suggested(trial)
        scores = {"en": 1 - ratio, "sw": ratio}
        trial.set_user_attr("scores", {**scores, "sw": odd} if trial.number == 3 else scores)
        return 0.5

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(run(objective).trials) == 10


@pytest.mark.parametrize("value", [-math.inf, math.inf])
def test_an_infinite_value_ends_no_study(value: float) -> None:
    assert len(run(lambda trial: value if suggested(trial) and trial.number == 3 else 0.5).trials) == 10


def test_names_outside_the_space_are_told() -> None:
    with pytest.warns(UserWarning, match="MixtureSampler") as told:
        run(lambda trial: suggested(trial, lr="learning_rate")[0], trials=4)
    said = [str(each.message) for each in told if "MixtureSampler" in str(each.message)]
    assert any("learning_rate is not in the space" in line for line in said)
    assert any("ignores trials without the parameter lr" in line for line in said)
    assert len(said) == len(set(said))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_what_is_searched_is_the_value_and_not_the_mean_of_scores(direction: str) -> None:
    """The mean of the scores is best at ratio 1, the objective value at ratio 0."""

    def objective(trial: Any) -> float:
        ratio, _ = suggested(trial)
        trial.set_user_attr("scores", {"en": 1 - ratio, "sw": 3 * ratio})
        return 1 - ratio if direction == "maximize" else ratio

    with pytest.warns(UserWarning, match="models the values only"):
        study = run(objective, direction, trials=14)
    assert study.best_params["ratio"] < 0.1
