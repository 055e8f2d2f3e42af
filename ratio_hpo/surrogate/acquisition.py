"""What a curve is expected to add to the anytime front, as area of (cost, score).

A trial's later scores follow from its earlier ones, so that a curve's error is taken as one: where its model is wrong,
it is wrong in the same direction and measure everywhere. The last score of the front is held to twice the largest
cost, as cost to target is for trials that never reach it: so the best final score has a worth of its own.
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
"""Places at which the normal law of a curve's error is looked at."""

HORIZON = 2.0
"""The front is valued up to so many times the largest cost."""

_PLACES, _WEIGHTS = hermegauss(NODES)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves that are expected, with as many points each; a shorter one repeats its last point.

    Attributes:
        costs: [n, r], attributed.
        medians, room, spread: [n, r], of scores whose law below a ceiling is that of `Posterior`.
    """

    costs: Array
    medians: Array
    headroom: Array
    spread: Array

    def at(self, deviations: float) -> Array:
        """Scores so many standard deviations up."""
        values: Array = self.medians - self.headroom * np.expm1(-deviations * self.spread)
        return values

    def deviations(self, scores: Array) -> Array:
        """How many standard deviations up scores are; infinity from the ceiling on."""
        left = np.maximum(1.0 - (scores - self.medians) / np.maximum(self.headroom, 1e-12), 0.0)
        with np.errstate(divide="ignore"):
            away: Array = -np.log(left) / np.maximum(self.spread, 1e-12)
        return away

    def reaching(self, scores: Array) -> Array:
        """Probability that any point of each curve reaches the score at its place [n]."""
        probability: Array = norm.sf(self.deviations(scores).min(axis=1))
        return probability


class FrontGain:
    """The front as a staircase over cost.

    Args:
        costs, scores: of the points that it is made of.
        largest: the largest cost that a trial may have.

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
        """The best score at most so expensive; 0 before the first."""
        found = np.searchsorted(self._costs, costs, side="right")
        values: Array = np.concatenate([[0.0], self._scores])[found]
        return values

    def expected(self, curves: Curves) -> Array:
        """Expected area that each curve adds [n]."""
        grid = np.unique(np.concatenate([self._costs, curves.costs.ravel()]))
        widths = np.diff(np.append(grid, max(self._end, grid[-1])))
        before, places = self.at(grid), np.searchsorted(grid, curves.costs)
        rows = np.arange(len(curves.costs))
        added = np.zeros(len(rows))
        for place, weight in zip(_PLACES, _WEIGHTS, strict=True):
            values = curves.at(float(place))
            reached = np.zeros((len(rows), len(grid)))
            for column in range(values.shape[1]):
                at = places[:, column]
                reached[rows, at] = np.maximum(reached[rows, at], values[:, column])
            better = np.maximum(np.maximum.accumulate(reached, axis=1) - before, 0.0)
            added += weight * (better @ widths)
        return added

    def joins(self, curves: Curves) -> Array:
        """Probability that any point of each curve joins the front [n]."""
        return curves.reaching(self.at(curves.costs))


def stacked(costs: Array, told: Posterior, lengths: Sequence[int]) -> Curves:
    """Curves of different lengths, laid one after another, as one table."""
    ends = np.cumsum(lengths)
    begins = ends - lengths
    index = np.minimum(begins[:, None] + np.arange(max(lengths))[None, :], ends[:, None] - 1)
    return Curves(costs[index], told.median[index], told.headroom[index], told.spread[index])
