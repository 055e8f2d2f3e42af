"""Optuna's samplers as samplers of a study."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

from optuna import Study, samplers
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.extensions import Options
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import NO_INTERMEDIATE, Params
from ratio_hpo.samplers.base import SamplerContext
from ratio_hpo.space import Coordinates, Space, Steps, StepSweep
from ratio_hpo.storage.records import KIND
from ratio_hpo.surrogate.trials import Trials

SEEDS = 2**32
"""Upper bound of the seeds of NumPy's legacy generators, which Optuna's samplers use."""

GRID_PARTS = 5
"""Number of grid values of a continuous coordinate."""

_CLASSES: dict[str, Callable[..., samplers.BaseSampler]] = {
    "tpe": samplers.TPESampler,
    "gp": samplers.GPSampler,
    "nsga2": samplers.NSGAIISampler,
    "nsga3": samplers.NSGAIIISampler,
    "random": samplers.RandomSampler,
}


_DEFAULTS: dict[str, Options] = {
    "tpe": {"n_startup_trials": 8, "multivariate": True},
    "nsga2": {"population_size": 10},
    "nsga3": {"population_size": 10},
}
"""Defaults for studies of a few dozen trials: with Optuna's population of 50, the first 50 trials are random."""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions: one for each coordinate of the unit cube; unordered choices are categorical."""
    categories = space.categories()
    return {
        name: CategoricalDistribution(range(categories[name])) if name in categories else FloatDistribution(0.0, 1.0)
        for name in space.coordinates()
    }


def make_optuna(name: str, options: Options, context: SamplerContext) -> OptunaSampler:
    """Return the sampler of a study."""
    return OptunaSampler(name, options, space=context.space, seed=context.seed)


class OptunaSampler:
    """An Optuna sampler, rebuilt for each trial from (seed, number), so that a resumed study proposes the same trials.

    The sequence samplers (qmc, grid) store their position in the storage instead. The sampler reads `study`, the open
    Optuna study, which is set when the study is opened.

    Args:
        name: name of the sampler.
        options: keyword arguments of Optuna's class.
        space: the search space.
        seed: seed of the study.

    Raises:
        ConfigError: an option is invalid.
    """

    study: Study

    def __init__(self, name: str, options: Options, *, space: Space, seed: int) -> None:
        self._name, self._options, self._space, self._seed = name, dict(options), space, seed
        self.needs_trial = name != "random"  # the other samplers store attributes with the trial
        self._distributions = distributions(space)
        self._make(0)

    def propose(self, trials: Trials, number: int) -> Params:
        return self._space.params_at(self.coordinates(number))

    def coordinates(self, number: int) -> Coordinates:
        """Return the coordinates of a trial as Optuna proposes them, which is what Optuna must find stored."""
        sampler, study = self._make(number), shown(self.study)
        if self._name == "random":  # it ignores earlier trials, so none are read
            trial = create_trial(state=TrialState.WAITING)
            return {name: sampler.sample_independent(study, trial, name, d) for name, d in self._distributions.items()}
        trial = self.study.get_trials(deepcopy=False)[number]
        if self._name == "grid" and "fixed_params" in trial.system_attrs:
            # an enqueued trial is not a grid point: draw the parameters that the user left out
            sampler = samplers.RandomSampler(seed=integer_hash("sampler", self._seed, number) % SEEDS)
        sampler.before_trial(study, trial)
        trial = self.study.get_trials(deepcopy=False)[number]
        coordinates = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))
        for name, distribution in self._distributions.items():
            if name not in coordinates:
                coordinates[name] = sampler.sample_independent(study, trial, name, distribution)
        return coordinates

    def exhausted(self, trials: Trials) -> bool:
        sampler = self._make(len(trials.records))
        return isinstance(sampler, samplers.GridSampler) and sampler.is_exhausted(self.study)

    def _make(self, number: int) -> samplers.BaseSampler:
        warnings.simplefilter("ignore", ExperimentalWarning)
        name, options, seed = self._name, self._options, self._seed
        try:
            if name == "grid":
                return samplers.GridSampler(_grid(self._space, **options), seed=seed % SEEDS)
            if name == "qmc":
                return samplers.QMCSampler(seed=seed, scramble=True, **options)
            keywords = {**_DEFAULTS.get(name, {}), **options}
            return _CLASSES[name](seed=integer_hash("sampler", seed, number) % SEEDS, **keywords)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"sampler: {name} refuses its options ({error}); correct them") from error


def shown(study: Study) -> Study:
    """Return a view of the study for samplers that hides the baseline without a mixture.

    The trial of that baseline has no parameters, so the trials would have no parameter in common.
    """
    study._thread_local.cached_all_trials = None  # samplers would read this cache; Optuna's `ask` clears it too
    visible_study = copy.copy(study)
    get_trials = study._get_trials

    def get_visible_trials(*args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [trial for trial in get_trials(*args, **kwargs) if trial.user_attrs.get(KIND) != NO_INTERMEDIATE]

    visible_study._get_trials = get_visible_trials  # type: ignore[method-assign]
    return visible_study


def _grid(space: Space, parts: int = GRID_PARTS) -> dict[str, list[Any]]:
    categories = space.categories()
    grid: dict[str, list[Any]] = {}
    for name in space.coordinates():
        domain = space.parameters.get(name)
        if name in categories:
            grid[name] = list(range(categories[name]))
        elif isinstance(domain, StepSweep):  # the step sweep adds the other values itself
            grid[name] = [0.5 / len(domain.values)]
        elif isinstance(domain, Steps):
            grid[name] = [(k + 0.5) / len(domain.values) for k in range(len(domain.values))]
        else:
            grid[name] = [k / (parts - 1) for k in range(parts)] if parts > 1 else [0.5]
    return grid
