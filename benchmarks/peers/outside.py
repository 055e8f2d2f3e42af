"""Tuners other than Optuna, each through its ask-and-tell interface.

Install `requirements.txt` from this folder. NePS needs a separate environment with `requirements-neps.txt`.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
from problems import Problem
from replay import View

from ratio_hpo.core.trial import Progress, State
from ratio_hpo.space import Coordinates


def best_seen(view: View) -> int:
    """Return the completed trial with the best last primary score, or the best of all trials if none is complete."""
    whole = [r for r in view.records if r.state is State.COMPLETE] or view.records
    return max(whole, key=lambda record: record.curve[-1].primary_score).number


class SyneMoasha:
    """Syne Tune's MOASHA (Schmucker et al. 2021): random search, halving by non-dominated sorting of score and cost."""

    def __init__(self, problem: Problem, seed: int) -> None:
        from syne_tune.config_space import uniform
        from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

        np.random.seed(seed)
        self._rungs = sum(len(grid) for grid in problem.rungs.values())
        places = {name: uniform(0.0, 1.0) for name in problem.space.coordinates()}
        self._moasha = MOASHA(places, ["loss", "cost"], time_attr="rung", max_t=self._rungs + 1, random_seed=seed)
        self._trials: dict[int, Any] = {}

    def propose(self, view: View, number: int) -> Coordinates:
        return dict(self._moasha.suggest().config)

    def stops(self, view: View, number: int, progress: Progress) -> bool:
        from syne_tune.optimizer.scheduler import SchedulerDecision

        if number not in self._trials:
            self._trials[number] = type("Trial", (), {"trial_id": number})()
            self._moasha.on_trial_add(self._trials[number])
        told = {"rung": len(view.records[number].curve), "loss": -progress.primary_score, "cost": progress.cost}
        return self._moasha.on_trial_result(self._trials[number], told) == SchedulerDecision.STOP

    def ended(self, view: View, number: int) -> None:
        """Do nothing: `stops` has reported each result."""

    def recommended(self, view: View) -> int:
        return best_seen(view)


class NepsPrimo:
    """NePS's PriMO (Basu et al. 2025) without a prior.

    It starts with halving by non-dominated sorting of loss and cost, and resumes paused trials. Then it fits a Gaussian
    process to their sum with random weights, and runs trials at full length.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        import torch
        from neps import AskAndTell
        from neps.optimizers.algorithms import primo
        from neps.space import SearchSpace
        from neps.space.parameters import HPOFloat, HPOInteger

        logging.getLogger("neps").setLevel(logging.ERROR)
        random.seed(seed)
        torch.manual_seed(seed)
        self._problem, self._rungs = problem, sum(len(grid) for grid in problem.rungs.values())
        places = {name: HPOFloat(0.0, 1.0) for name in problem.space.coordinates()}
        space = SearchSpace({**places, "rung": HPOInteger(1, self._rungs, is_fidelity=True)})
        self._neps = AskAndTell(primo(space, prior_centers={}))
        self._asked: Any = None
        self._trials: dict[str, int] = {}

    def propose(self, view: View, number: int) -> Coordinates | int:
        self._asked = self._neps.ask()
        paused = self._asked.metadata.previous_trial_id
        if paused is not None:
            self._trials[self._asked.id] = self._trials[paused]
            return self._trials[paused]
        self._trials[self._asked.id] = number
        return self._place(self._asked.config)

    def stops(self, view: View, number: int, progress: Progress) -> bool:
        return len(view.records[number].curve) >= self._length(view, number)

    def ended(self, view: View, number: int) -> None:
        if self._asked is None:
            return  # a baseline
        record = view.records[number]
        run = self._place(self._problem.space.encode(record.params))
        self._asked.config = {**self._asked.config, **run}  # report the parameters of the nearest row
        point = record.curve[-1]
        self._neps.tell(self._asked, [1.0 - point.primary_score, point.cost / self._problem.unit])

    def recommended(self, view: View) -> int:
        return best_seen(view)

    def _place(self, told: Mapping[str, Any]) -> Coordinates:
        return {name: float(told[name]) for name in self._problem.space.coordinates()}

    def _length(self, view: View, number: int) -> int:
        """Convert the requested rung into a number of evaluations; this number depends on the trial."""
        if self._asked is None:
            return self._rungs
        row = next(k for k, params in enumerate(self._problem.rows) if params == view.records[number].params)
        whole = len(self._problem.curves[row][0])
        return math.ceil(whole * self._asked.config["rung"] / self._rungs)


class Ax:
    """Ax's default for few trials: Sobol, then BoTorch's Gaussian process of the last score, without pruning."""

    def __init__(self, problem: Problem, seed: int) -> None:
        from ax.api.client import Client
        from ax.api.configs import RangeParameterConfig

        logging.getLogger("ax").setLevel(logging.ERROR)
        self._space = problem.space
        self._names = {
            name: f"x{k}" for k, name in enumerate(problem.space.coordinates())
        }  # Ax does not allow brackets in names
        self._client = Client(random_seed=seed)
        self._client.configure_experiment(
            parameters=[
                RangeParameterConfig(name=name, bounds=(0.0, 1.0), parameter_type="float")
                for name in self._names.values()
            ]
        )
        self._client.configure_optimization(objective="score")

    def propose(self, view: View, number: int) -> Coordinates:
        [(index, place)] = self._client.get_next_trials(max_trials=1).items()
        self._client.mark_trial_abandoned(index)  # the nearest row runs instead, see `ended`
        return {name: float(place[short]) for name, short in self._names.items()}

    def stops(self, view: View, number: int, progress: Progress) -> bool:
        return False

    def ended(self, view: View, number: int) -> None:
        record = view.records[number]
        cube = self._space.encode(record.params)
        index = self._client.attach_trial({short: float(cube[name]) for name, short in self._names.items()})
        self._client.complete_trial(index, raw_data={"score": record.curve[-1].primary_score})

    def recommended(self, view: View) -> int:
        return best_seen(view)
