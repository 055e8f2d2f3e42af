"""The methods under comparison, with their settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from outside import Ax, NepsPrimo, SyneMoasha, best_seen
from problems import Problem
from replay import View, tell

from ratio_hpo.core.trial import Decision, Params, Progress, State, TrialRecord
from ratio_hpo.pruners.front import FrontPruner
from ratio_hpo.pruners.optuna import OptunaPruner
from ratio_hpo.samplers.mixing_laws import LawSampler
from ratio_hpo.samplers.mixture import MixtureProposals
from ratio_hpo.samplers.optuna import OptunaSampler
from ratio_hpo.samplers.step_sweep import StepSweeps
from ratio_hpo.space import Coordinates, Steps, StepSweep
from ratio_hpo.surrogate.features import MeanFunction
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response

logging.getLogger("optuna").setLevel(logging.ERROR)


class Ours:
    """The `mixture` sampler with the `front` pruner, or with one of Optuna's pruners."""

    def __init__(self, problem: Problem, seed: int, *, pruner: str = "front") -> None:
        planned_curves = PlannedCurves(problem.space, problem.rungs, problem.unit, "windows", problem.planned)
        self._response = Response(problem.space, planned_curves)
        self._space = problem.space
        self._sampler = MixtureProposals(self._response, seed=seed)
        self._records: list[TrialRecord] = []
        self._pruner: Any = (
            FrontPruner({}, self._response) if pruner == "front" else OptunaPruner(pruner, {}, problem.rungs, ())
        )

    @property
    def response(self) -> Response:
        """The response that fits the models of this method."""
        return self._response

    @property
    def seen(self) -> list[TrialRecord]:
        """The trials of the run."""
        return self._records

    def believe(self, priors: Sequence[MeanFunction]) -> None:
        """Add these prior mean functions."""
        self._response.priors += priors

    def propose(self, view: View, number: int) -> Coordinates:
        return self._space.coordinates_of(self._sampler.propose(view.trials(self._space), number))

    def stops(self, view: View, number: int, progress: Progress) -> bool:
        self._records = view.records
        return self._pruner.decide(view.trials(self._space), view.records[number]) is Decision.STOP

    def ended(self, view: View, number: int) -> None:
        """Do nothing: sampler and pruner read the records."""

    def recommended(self, view: View) -> int:
        expected = self._response.model(view.records).finals()
        whole = [r.number for r in view.records if r.state is State.COMPLETE] or list(expected)
        return max(whole, key=lambda number: (expected[number][0], -number))


class Ahead(Ours):
    """The same method with a step sweep: further step counts of a proposed mixture follow the proposal."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        read_off = {
            name: StepSweep(values=domain.values, absolute=True) if isinstance(domain, Steps) else domain
            for name, domain in problem.space.parameters.items()
        }
        self._step_sweeps = StepSweeps(replace(problem.space, parameters=read_off), self._response)
        self._queue: list[Params] = []

    def propose(self, view: View, number: int) -> Coordinates:
        if not self._queue:
            place = super().propose(view, number)
            self._queue = self._step_sweeps.of(self._space.params_at(place), view.records[:number])
        return self._space.coordinates_of(self._queue.pop(0))


class Law:
    """A fitted mixing law as the sampler of a study, without a pruner; other parameters are sampled at random."""

    def __init__(self, problem: Problem, seed: int, name: str) -> None:
        planned_curves = PlannedCurves(problem.space, problem.rungs, problem.unit, "windows", problem.planned)
        self._space = problem.space
        self._sampler = LawSampler(name, {}, Response(problem.space, planned_curves), sources={}, seed=seed)

    def propose(self, view: View, number: int) -> Coordinates:
        return self._space.coordinates_of(self._sampler.propose(view.trials(self._space), number))

    def stops(self, view: View, number: int, progress: Progress) -> bool:
        return False

    def ended(self, view: View, number: int) -> None:
        """Do nothing: the sampler reads the records."""

    def recommended(self, view: View) -> int:
        return best_seen(view)


class Ourselves:
    """An Optuna sampler and pruner as a ratio-hpo study uses them: two objectives, shadow studies for the pruner."""

    def __init__(self, problem: Problem, seed: int, sampler: str, pruner: str, **options: Any) -> None:
        self._sampler = OptunaSampler(sampler, options, space=problem.space, seed=seed)
        self._pruner = OptunaPruner(pruner, {}, problem.rungs, ())
        self._unit, self._space = problem.unit, problem.space
        self._target: float | None = None

    def propose(self, view: View, number: int) -> Coordinates:
        self._sampler.study = view.optuna
        return self._sampler.coordinates(number)

    def stops(self, view: View, number: int, progress: Progress) -> bool:
        return self._pruner.decide(view.trials(self._space), view.records[number]) is Decision.STOP

    def ended(self, view: View, number: int) -> None:
        from ratio_hpo.metrics.convergence import cost_to_target

        record = view.records[number]
        points = [(point.cost, point.primary_score) for point in record.curve]
        if self._target is None:
            self._target = 0.95 * points[-1][1] if points[-1][1] > 0 else points[-1][1] / 0.95
        values = [points[-1][1], min(cost_to_target(points, self._target), 2 * self._unit)]
        tell(view.optuna, number, record.state, values if record.state is State.COMPLETE else None)

    def recommended(self, view: View) -> int:
        return best_seen(view)


class Plain:
    """Plain Optuna: one objective, with Optuna's own use of the pruner."""

    def __init__(self, problem: Problem, seed: int, make: Callable[[int], Any], pruner: Any = None) -> None:
        from ratio_hpo.samplers.optuna import distributions

        self._sampler, self._pruner = make(seed), pruner
        self._distributions = distributions(problem.space)

    def propose(self, view: View, number: int) -> Coordinates:
        study = view.optuna
        study._thread_local.cached_all_trials = None  # `Study.ask` also clears this cache
        trial = study.get_trials(deepcopy=False)[number]
        self._sampler.before_trial(study, trial)
        chosen = self._sampler.sample_relative(study, trial, self._sampler.infer_relative_search_space(study, trial))
        for name, distribution in self._distributions.items():
            if name not in chosen:
                chosen[name] = self._sampler.sample_independent(study, trial, name, distribution)
        return chosen

    def stops(self, view: View, number: int, progress: Progress) -> bool:
        study = view.optuna
        step = len(view.records[number].curve)
        study._storage.set_trial_intermediate_value(number, step, progress.primary_score)
        if self._pruner is None:
            return False
        return bool(self._pruner.prune(study, study.get_trials(deepcopy=False)[number]))

    def ended(self, view: View, number: int) -> None:
        record = view.records[number]
        tell(view.optuna, number, record.state, [record.curve[-1].primary_score])
        trial = view.optuna.get_trials(deepcopy=False)[number]
        self._sampler.after_trial(view.optuna, trial, trial.state, trial.values)

    def recommended(self, view: View) -> int:
        return best_seen(view)


def study_of(name: str) -> optuna.Study:
    """Create an empty study for a method."""
    directions = ["maximize", "minimize"] if name.startswith("study-") else ["maximize"]
    return optuna.create_study(directions=directions)


def _tpe(seed: int) -> Any:
    return optuna.samplers.TPESampler(seed=seed, multivariate=True)


METHODS: dict[str, Callable[[Problem, int], Any]] = {
    "mixture": lambda p, s: Ours(p, s),
    "mixture-curve": Ahead,
    "mixture-unpruned": lambda p, s: Ours(p, s, pruner="none"),
    "random": lambda p, s: Plain(p, s, lambda seed: optuna.samplers.RandomSampler(seed=seed)),
    "tpe": lambda p, s: Plain(p, s, _tpe),
    "tpe-halving": lambda p, s: Plain(p, s, _tpe, optuna.pruners.SuccessiveHalvingPruner(min_resource=1)),
    "tpe-median": lambda p, s: Plain(p, s, _tpe, optuna.pruners.MedianPruner()),
    "gp": lambda p, s: Plain(p, s, lambda seed: optuna.samplers.GPSampler(seed=seed)),
    "nsga2": lambda p, s: Plain(p, s, lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=10)),
    "syne-moasha": SyneMoasha,
    "ax": Ax,
    "neps-primo": NepsPrimo,
    "regmix": lambda p, s: Law(p, s, "regmix"),
    "olmix": lambda p, s: Law(p, s, "olmix"),
    "study-nsga2-50": lambda p, s: Ourselves(p, s, "nsga2", "none", population_size=50),
    "study-nsga2": lambda p, s: Ourselves(p, s, "nsga2", "none"),
    "study-tpe-halving": lambda p, s: Ourselves(p, s, "tpe", "successive_halving"),
    "study-tpe": lambda p, s: Ourselves(p, s, "tpe", "none"),
}

APART = ("neps-primo",)
"""Methods that need a separate environment; they run only when named in --methods."""


def make(name: str, problem: Problem, seed: int) -> Any:
    """Create a new instance of a method."""
    np.random.seed(seed)
    return METHODS[name](problem, seed)
