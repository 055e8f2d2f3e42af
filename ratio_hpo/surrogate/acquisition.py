"""Acquisition: the area of (cost, score) that a curve is expected to add to the anytime front.

Later scores of a trial follow from earlier ones, so the prediction errors along a curve are assumed to be perfectly
correlated. The last score of the front extends to twice the largest cost, the same bound as for the cost to target of
trials that never reach it. So a better final score always adds area.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.stats import norm

from ratio_hpo.core.trial import Params
from ratio_hpo.space import Choice, Domain, Grouped, Ratio, Simplex, Space, Steps
from ratio_hpo.surrogate.model import Posterior

Array = NDArray[np.float64]

NODES = 9
"""Nodes of the Gauss-Hermite quadrature over the error of a curve."""

HORIZON = 2.0
"""Cost up to which the area under the front counts, in multiples of the largest cost."""

_NODES, _WEIGHTS = hermegauss(NODES)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class Curves:
    """Predicted curves with equal numbers of points; a shorter curve repeats its last point.

    Attributes:
        costs: attributed costs [n, r].
        medians, headroom, spread: parameters of the score distribution, as in `Posterior` [n, r].
    """

    costs: Array
    medians: Array
    headroom: Array
    spread: Array

    def at(self, deviations: float) -> Array:
        """Return the scores that lie this many standard deviations above the median."""
        values: Array = self.medians - self.headroom * np.expm1(-deviations * self.spread)
        return values

    def deviations(self, scores: Array) -> Array:
        """Return how many standard deviations scores lie above the median; infinity at or above the ceiling."""
        remaining = np.maximum(1.0 - (scores - self.medians) / np.maximum(self.headroom, 1e-12), 0.0)
        with np.errstate(divide="ignore"):
            deviations: Array = -np.log(remaining) / np.maximum(self.spread, 1e-12)
        return deviations

    def reaching(self, scores: Array) -> Array:
        """Return the probability that any point of each curve reaches the corresponding score [n]."""
        probability: Array = norm.sf(self.deviations(scores).min(axis=1))
        return probability


class FrontGain:
    """The front as a step function of cost.

    Args:
        costs, scores: points from which the front is computed.
        largest: largest cost of a trial.

    Examples:
        >>> import numpy as np
        >>> front = FrontGain(np.array([1.0]), np.array([0.5]), largest=2.0)
        >>> sure = Curves(np.array([[2.0]]), np.array([[0.75]]), np.array([[0.25]]), np.array([[0.0]]))
        >>> front.expected(sure).round(6).tolist()
        [0.5]
    """

    def __init__(self, costs: Array, scores: Array, largest: float) -> None:
        order = np.argsort(costs, kind="stable")
        self._costs, self._scores = costs[order], np.maximum.accumulate(scores[order])
        self._end = HORIZON * largest

    def at(self, costs: Array) -> Array:
        """Return the best score at each cost or below it; 0 below the lowest cost."""
        positions = np.searchsorted(self._costs, costs, side="right")
        values: Array = np.concatenate([[0.0], self._scores])[positions]
        return values

    def expected(self, curves: Curves) -> Array:
        """Return the expected area that each curve adds to the front [n]."""
        grid = np.unique(np.concatenate([self._costs, curves.costs.ravel()]))
        widths = np.diff(np.append(grid, max(self._end, grid[-1])))
        before, positions = self.at(grid), np.searchsorted(grid, curves.costs)
        rows = np.arange(len(curves.costs))
        added = np.zeros(len(rows))
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            values = curves.at(float(node))
            reached = np.zeros((len(rows), len(grid)))
            for column in range(values.shape[1]):
                columns_reached = positions[:, column]
                reached[rows, columns_reached] = np.maximum(reached[rows, columns_reached], values[:, column])
            better = np.maximum(np.maximum.accumulate(reached, axis=1) - before, 0.0)
            added += weight * (better @ widths)
        return added

    def joins(self, curves: Curves) -> Array:
        """Return the probability that any point of each curve joins the front [n]."""
        return curves.reaching(self.at(curves.costs))


def stacked(costs: Array, posterior: Posterior, lengths: Sequence[int]) -> Curves:
    """Return concatenated curves of different lengths as one table."""
    ends = np.cumsum(lengths)
    begins = ends - lengths
    index = np.minimum(begins[:, None] + np.arange(max(lengths))[None, :], ends[:, None] - 1)
    return Curves(costs[index], posterior.median[index], posterior.headroom[index], posterior.spread[index])


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


@dataclass(frozen=True, slots=True)
class FrontCandidate:
    """An evaluated point with its probability of being on the front.

    Attributes:
        trial, cost: the trial's number, and the attributed cost of the point.
        mean, sd: posterior mean and standard deviation of its primary score.
        probability: probability that no point of equal or lower cost has a higher expected score.
    """

    trial: int
    cost: float
    mean: float
    sd: float
    probability: float


@dataclass(frozen=True, slots=True)
class ImprovementChance:
    """The probability that a running trial still improves the front.

    Attributes:
        chance: probability that any later point of its curve joins the front of the other trials.
        rival: number of the other trial with the highest expected score at a cost up to the total cost of this trial;
            None if there is none.
    """

    chance: float
    rival: int | None
