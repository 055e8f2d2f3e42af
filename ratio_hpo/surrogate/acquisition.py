"""Acquisition: the area of (cost, score) that a curve is expected to add to the anytime front.

Later scores of a trial follow from earlier ones, so the prediction errors along a curve are assumed to be perfectly
correlated. The last score of the front extends to twice the largest cost, the same bound as for the cost to target of
trials that never reach it. So a better final score always adds area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.stats import norm

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
