"""Candidate parameters, drawn from the whole search space or near given parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ratio_hpo.core.trial import Params
from ratio_hpo.space import Choice, Domain, Grouped, Ratio, Simplex, Space, Steps

Rng = np.random.Generator

CONCENTRATIONS, REACHES = (0.05, 3.0), (0.02, 0.3)
"""Range of the Dirichlet concentration of random shares, and range of the step size of `around`, in square-root shares
and in the unit cube. Both are drawn log-uniformly, so that corners and close neighbours are sampled too."""

MOVED = 0.3
"""Probability that `around` redraws an unordered or stepped value."""


def drawn(space: Space, rng: Rng) -> Params:
    """Draw parameters from the search space."""
    return {name: _draw(domain, rng) for name, domain in space.parameters.items()}


def even(space: Space, rng: Rng, number: int) -> list[Params]:
    """Draw parameters uniformly from the unit cube."""
    names = space.coordinates()
    return [space.decode(dict(zip(names, cube, strict=True))) for cube in rng.random((number, len(names))).tolist()]


def around(space: Space, place: Params, rng: Rng) -> Params:
    """Draw parameters near given ones."""
    reach = _log_uniform(rng, *REACHES)
    return {
        name: _step(domain, place[name], reach, rng) if name in place else _draw(domain, rng)
        for name, domain in space.parameters.items()
    }


def many(space: Space, rng: Rng, number: int, near: Sequence[Params] = ()) -> list[Params]:
    """Draw parameters from the search space, or near each of the given parameters in turn."""
    if not near:
        return [drawn(space, rng) for _ in range(number)]
    return [around(space, near[k % len(near)], rng) for k in range(number)]


def _draw(domain: Domain, rng: Rng) -> Any:
    if isinstance(domain, Simplex):
        shares = rng.dirichlet(np.full(len(domain.parts), _log_uniform(rng, *CONCENTRATIONS)))
        return _within(domain, dict(zip(domain.parts, shares.tolist(), strict=True)))
    return domain.decode(tuple(rng.random(domain.dimensions).tolist()))


def _step(domain: Domain, value: Any, reach: float, rng: Rng) -> Any:
    if isinstance(domain, Simplex):
        roots = np.sqrt([max(float(value.get(name, 0.0)), 0.0) for name in domain.parts])
        moved = np.maximum(roots + reach * rng.standard_normal(len(roots)), 0.0) ** 2
        return _within(domain, dict(zip(domain.parts, (moved / max(moved.sum(), 1e-12)).tolist(), strict=True)))
    if isinstance(domain, Choice | Steps):
        return _draw(domain, rng) if rng.random() < MOVED else domain.decode(domain.encode(value))
    if isinstance(domain, Ratio | Grouped) or domain.dimensions:
        cube = np.asarray(domain.encode(value)) + reach * rng.standard_normal(domain.dimensions)
        return domain.decode(tuple(np.clip(cube, 0.0, 1.0).tolist()))
    return value


def _within(domain: Simplex, shares: Mapping[str, float]) -> dict[str, float]:
    """Project shares onto the domain: within its bounds and on its grid."""
    return domain.decode(domain.encode(shares))


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
