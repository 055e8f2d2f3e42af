"""Places to look at: drawn over a space, or around places that are good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ratio_hpo.core.trial import Params
from ratio_hpo.space import Choice, Domain, Grouped, Ratio, Simplex, Space, Steps

Rng = np.random.Generator

CONCENTRATIONS, REACHES = (0.05, 3.0), (0.02, 0.3)
"""Of the Dirichlet laws that shares are drawn from, and of steps away from a place, in square-root shares and the cube:
both log-uniform, so that corners and neighbours are looked at as well as the middle."""

MOVED = 0.3
"""Part of unordered and stepped values that change in a step."""


def drawn(space: Space, rng: Rng) -> Params:
    """A place of the space."""
    return {name: _draw(domain, rng) for name, domain in space.parameters.items()}


def even(space: Space, rng: Rng, number: int) -> list[Params]:
    """Places drawn evenly over the unit cube."""
    names = space.coordinates()
    return [space.decode(dict(zip(names, cube, strict=True))) for cube in rng.random((number, len(names))).tolist()]


def around(space: Space, place: Params, rng: Rng) -> Params:
    """A place near another one."""
    reach = _log_uniform(rng, *REACHES)
    return {
        name: _step(domain, place[name], reach, rng) if name in place else _draw(domain, rng)
        for name, domain in space.parameters.items()
    }


def many(space: Space, rng: Rng, number: int, near: Sequence[Params] = ()) -> list[Params]:
    """Places drawn over the space, or around some in turn."""
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
    """Shares that the domain holds: within its bounds, on its grid."""
    return domain.decode(domain.encode(shares))


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
