"""Samplers: what one must answer, and Optuna's as adapters."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from optuna import Study, samplers
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.names import SAMPLERS
from ratio_hpo.core.trial import NO_INTERMEDIATE, Params
from ratio_hpo.space import Space, Steps, StepSweep
from ratio_hpo.study.records import KIND

if TYPE_CHECKING:
    from ratio_hpo.study.state import StudyState

SEEDS = 2**32
"""Seeds of NumPy's older generators, which Optuna's samplers use, are below it."""

GRID_PARTS = 5
"""Values that the grid takes of a coordinate without steps of its own."""

_PLAIN: dict[str, Callable[..., samplers.BaseSampler]] = {
    "tpe": samplers.TPESampler,
    "gp": samplers.GPSampler,
    "nsga2": samplers.NSGAIISampler,
    "nsga3": samplers.NSGAIIISampler,
    "random": samplers.RandomSampler,
}


_BETTER: dict[str, dict[str, Any]] = {
    "tpe": {"n_startup_trials": 8, "multivariate": True},
    "nsga2": {"population_size": 10},
    "nsga3": {"population_size": 10},
}
"""Defaults that fit studies of some dozen trials: Optuna's populations of 50 are 50 draws by chance."""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """What Optuna sees: each coordinate of the unit cube; unordered choices as categories."""
    categories = space.categories()
    return {
        name: CategoricalDistribution(range(categories[name])) if name in categories else FloatDistribution(0.0, 1.0)
        for name in space.coordinates()
    }


def fixed_values(space: Space, params: Params) -> dict[str, float | int]:
    """Parameters as Optuna holds them: coordinates of the unit cube, and the index of an unordered choice."""
    categories = space.categories()
    cube = space.encode(params)
    return {name: int(value * categories[name]) if name in categories else value for name, value in cube.items()}


def cube_of(space: Space, place: Mapping[str, float]) -> dict[str, float]:
    """A place as Optuna holds it in the unit cube: an unordered choice is the middle of its part."""
    categories = space.categories()
    return {name: (v + 0.5) / categories[name] if name in categories else v for name, v in place.items()}


Coordinates = dict[str, float]
"""A place in the unit cube by coordinate: a number in [0, 1], or the index of an unordered choice."""


class Sampler(Protocol):
    """Proposes where to look next. Made with the space and the seed of its study.

    Attributes:
        needs_trial: whether a trial has to be stored before it is proposed.
    """

    needs_trial: bool

    def propose(self, view: StudyState, number: int) -> Coordinates:
        """Every coordinate of a trial, from the study as it stands."""
        ...

    def exhausted(self, view: StudyState) -> bool:
        """Whether there is nothing left to propose."""
        ...


class OptunaSampler:
    """A sampler of Optuna's, made anew for each trial from (seed, number), so that a continued study draws the same.

    The sequence samplers (qmc, grid) keep their place in the storage instead.

    Args:
        options: keyword arguments of Optuna's class.

    Raises:
        ConfigError: unknown name, or options that the sampler does not take.
    """

    def __init__(self, name: str, options: Mapping[str, Any], *, space: Space, seed: int) -> None:
        check_sampler(name)
        self._name, self._options, self._space, self._seed = name, dict(options), space, seed
        self.needs_trial = name != "random"  # the others keep what they know of a trial with it
        self._distributions = distributions(space)
        self._make(0)

    def propose(self, view: StudyState, number: int) -> Coordinates:
        sampler, study = self._make(number), shown(view.optuna)
        if self._name == "random":  # it looks at nothing, so nothing is read for it
            trial = create_trial(state=TrialState.WAITING)
            return {name: sampler.sample_independent(study, trial, name, d) for name, d in self._distributions.items()}
        trial = view.optuna.get_trials(deepcopy=False)[number]
        if self._name == "grid" and "fixed_params" in trial.system_attrs:
            # what a user enqueued is on no point of the grid: what was left out of it is drawn
            sampler = samplers.RandomSampler(seed=integer_hash("sampler", self._seed, number) % SEEDS)
        sampler.before_trial(study, trial)
        trial = view.optuna.get_trials(deepcopy=False)[number]
        chosen = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))
        for name, distribution in self._distributions.items():
            if name not in chosen:
                chosen[name] = sampler.sample_independent(study, trial, name, distribution)
        return chosen

    def exhausted(self, view: StudyState) -> bool:
        sampler = self._make(len(view.records))
        return isinstance(sampler, samplers.GridSampler) and sampler.is_exhausted(view.optuna)

    def _make(self, number: int) -> samplers.BaseSampler:
        warnings.simplefilter("ignore", ExperimentalWarning)
        name, options, seed = self._name, self._options, self._seed
        try:
            if name == "grid":
                return samplers.GridSampler(_grid(self._space, **options), seed=seed % SEEDS)
            if name == "qmc":
                return samplers.QMCSampler(seed=seed, scramble=True, **options)
            chosen = {**_BETTER.get(name, {}), **options}
            return _PLAIN[name](seed=integer_hash("sampler", seed, number) % SEEDS, **chosen)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"sampler: {name} refuses its options ({error}); correct them") from error


def shown(study: Study) -> Study:
    """The study as samplers see it: without the baseline that has no mixture, and so no place in the space.

    Its trial has no parameters, which would leave nothing that all trials have in common.
    """
    study._thread_local.cached_all_trials = None  # as Optuna's `ask` does: samplers read it instead of the storage
    seen = copy.copy(study)
    get_trials = study._get_trials

    def without(*args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [trial for trial in get_trials(*args, **kwargs) if trial.user_attrs.get(KIND) != NO_INTERMEDIATE]

    seen._get_trials = without  # type: ignore[method-assign]
    return seen


def check_sampler(name: str) -> None:
    """Refuse an unknown sampler.

    Raises:
        ConfigError: with the nearest known name.
    """
    if name not in SAMPLERS:
        raise ConfigError(f"sampler: unknown sampler {name!r} ({did_you_mean(name, list(SAMPLERS))})")


def _grid(space: Space, parts: int = GRID_PARTS) -> dict[str, list[Any]]:
    categories = space.categories()
    grid: dict[str, list[Any]] = {}
    for name in space.coordinates():
        domain = space.parameters.get(name)
        if name in categories:
            grid[name] = list(range(categories[name]))
        elif isinstance(domain, StepSweep):  # siblings come of themselves
            grid[name] = [0.5 / len(domain.values)]
        elif isinstance(domain, Steps):
            grid[name] = [(k + 0.5) / len(domain.values) for k in range(len(domain.values))]
        else:
            grid[name] = [k / (parts - 1) for k in range(parts)] if parts > 1 else [0.5]
    return grid
