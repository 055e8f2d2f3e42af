"""Samplers by name, made anew for each trial from (seed, number), so that a continued study draws the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from optuna import samplers
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Params
from ratio_hpo.space import Space, Steps

GRID_PARTS = 5
"""Values that the grid takes of a coordinate without steps of its own."""

NAMES = ("tpe", "gp", "nsga2", "nsga3", "qmc", "random", "grid")

_PLAIN: dict[str, Callable[..., samplers.BaseSampler]] = {
    "tpe": samplers.TPESampler,
    "gp": samplers.GPSampler,
    "nsga2": samplers.NSGAIISampler,
    "nsga3": samplers.NSGAIIISampler,
    "random": samplers.RandomSampler,
}


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


def check_sampler(name: str) -> None:
    """Refuse an unknown sampler.

    Raises:
        ConfigError: with the nearest known name.
    """
    if name not in NAMES:
        raise ConfigError(f"sampler: unknown sampler {name!r} ({did_you_mean(name, list(NAMES))})")


def make_sampler(
    name: str, options: Mapping[str, Any], *, space: Space, seed: int, number: int
) -> samplers.BaseSampler:
    """A sampler for one trial.

    Args:
        options: keyword arguments of Optuna's sampler.
        number: of the trial; the sequence samplers (qmc, grid) keep their place in the storage instead.

    Raises:
        ConfigError: unknown name, or options that the sampler does not take.
    """
    check_sampler(name)
    warnings.simplefilter("ignore", ExperimentalWarning)
    try:
        if name == "grid":
            return samplers.GridSampler(_grid(space, **options), seed=seed)
        if name == "qmc":
            return samplers.QMCSampler(seed=seed, scramble=True, **options)
        chosen = {"n_startup_trials": 8, **options} if name == "tpe" else options
        return _PLAIN[name](seed=integer_hash("sampler", seed, number) % 2**32, **chosen)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"sampler: {name} refuses its options ({error}); correct them") from error


def _grid(space: Space, parts: int = GRID_PARTS) -> dict[str, list[Any]]:
    categories = space.categories()
    grid: dict[str, list[Any]] = {}
    for name in space.coordinates():
        domain = space.parameters.get(name)
        if name in categories:
            grid[name] = list(range(categories[name]))
        elif isinstance(domain, Steps):
            grid[name] = [(k + 0.5) / len(domain.values) for k in range(len(domain.values))]
        else:
            grid[name] = [k / (parts - 1) for k in range(parts)] if parts > 1 else [0.5]
    return grid
