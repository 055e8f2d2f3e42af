"""Paired comparisons of configurations over training seeds and scored items.

A measured difference varies with the sample of seeds and with the sample of passages. The variance of its mean over n
seeds is the sum of a seed part (the variance of the differences, divided by n) and a passage part (the variance of the
mean difference in a bootstrap over passages). The variance that the two parts share is counted twice, which is
conservative: with two seeds, 3.5 % of true nulls are rejected, and 8.6 % without the double counting. Without item
scores, this is the paired t test with n - 1 degrees of freedom; with them, the degrees of freedom are Satterthwaite's.
A percentile bootstrap over few seeds is not conservative: with three seeds, it rejects a quarter of true nulls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[np.float64]

LEVEL, POWER = 0.05, 0.8
"""Level of two-sided tests, and power at the smallest detectable difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A mean paired difference with its uncertainty.

    Attributes:
        mean: mean difference over seeds.
        error: standard error of the mean.
        df: degrees of freedom of Student's t.
        sd: standard deviation of the differences over seeds.
        seeds: number of seeds.
    """

    mean: float
    error: float
    df: float
    sd: float
    seeds: int

    @property
    def p(self) -> float:
        """The p-value of the two-sided test that the true difference is 0.

        Examples:
            >>> round(difference(np.array([0.1, 0.2, 0.3])).p, 3)
            0.074
        """
        if self.error == 0.0:
            return 1.0 if self.mean == 0.0 else 0.0
        return float(2.0 * stdtr(self.df, -abs(self.mean) / self.error))

    @property
    def probability(self) -> float:
        """Probability that the true difference is above 0, under a flat prior."""
        if self.error == 0.0:
            return 0.5 if self.mean == 0.0 else float(self.mean > 0.0)
        return float(stdtr(self.df, self.mean / self.error))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the confidence interval of the true difference, with coverage 1 - `level`."""
        half = float(stdtrit(self.df, 1.0 - level / 2.0)) * self.error if self.error else 0.0
        return self.mean - half, self.mean + half

    @property
    def smallest_visible(self) -> float:
        """Minimum detectable difference at 5 % and 80 % power with this number of seeds (Cohen 1988)."""
        return float(stdtrit(self.df, 1.0 - LEVEL / 2.0) + stdtrit(self.df, POWER)) * self.error


def difference(by_seed: Array, resampled: Array | None = None, groups: int = 0) -> Difference:
    """Return the mean of paired differences with its uncertainty.

    Args:
        by_seed: difference for each seed [n], n >= 2.
        resampled: differences on bootstrap samples of passages [draws, n]; None if item scores are missing.
        groups: number of passages.

    Raises:
        ValueError: if there are fewer than two seeds.

    Examples:
        >>> result = difference(np.array([0.02, 0.03, 0.04]))
        >>> round(result.mean, 3), result.df, round(result.probability, 3)
        (0.03, 2.0, 0.982)
    """
    n = len(by_seed)
    if n < 2:
        raise ValueError(f"a difference needs at least 2 seeds, but got {n}; train more seeds")
    sd = float(by_seed.std(ddof=1))
    of_seeds, of_items = sd**2 / n, 0.0
    if resampled is not None and groups > 1:
        of_items = float(resampled.mean(axis=1).var())
    total = of_seeds + of_items
    spread = of_seeds**2 / (n - 1) + (of_items**2 / (groups - 1) if of_items else 0.0)
    df = total**2 / spread if spread else float(n - 1)
    return Difference(mean=float(by_seed.mean()), error=math.sqrt(total), df=df, sd=sd, seeds=n)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple tests, so that the family-wise error keeps the level (Holm 1979).

    Examples:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(values, kind="stable")
    corrected, largest = [0.0] * len(values), 0.0
    for rank, k in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(values) - rank) * values[k]))
        corrected[k] = largest
    return corrected


@dataclass(frozen=True, slots=True)
class Items:
    """Sums of item scores by passage, over the same passages for all entrants.

    Attributes:
        above, below: numerators and denominators [entrants, seeds, rows].
        parts: index of the part of each row, which is a target in a language [rows].
        groups: index of the passage of each row, shared by parallel languages [rows].
    """

    above: Array
    below: Array
    parts: NDArray[np.intp]
    groups: NDArray[np.intp]

    @property
    def num_groups(self) -> int:
        return int(self.groups.max()) + 1 if len(self.groups) else 0

    def scores(self, weights: Array | None = None) -> Array:
        """Return the measure of each part [draws, entrants, seeds, parts].

        Args:
            weights: number of times that each passage was drawn [draws, groups]; None counts each passage once.
        """
        weights = np.ones((1, self.num_groups)) if weights is None else weights
        measures = []
        for part in range(int(self.parts.max()) + 1):
            rows = np.flatnonzero(self.parts == part)
            times = weights[:, self.groups[rows]]
            above = np.einsum("dr,esr->des", times, self.above[:, :, rows], optimize=True)
            below = np.einsum("dr,esr->des", times, self.below[:, :, rows], optimize=True)
            measures.append(np.divide(above, below, out=np.zeros_like(above), where=below > 0))
        return np.stack(measures, axis=-1)

    def resampled(self, draws: int = 1000, seed: int = 0) -> Array:
        """Return the measures on bootstrap samples of passages [draws, entrants, seeds, parts]."""
        rng = np.random.default_rng(seed)
        probabilities = np.full(self.num_groups, 1.0 / self.num_groups)
        return self.scores(rng.multinomial(self.num_groups, probabilities, size=draws).astype(np.float64))


def on_front(costs: Array, scores: Array, items_covariance: Array | None = None, draws: int = 20_000) -> Array:
    """Return the probability that each entrant is on the front of cost and score [entrants].

    Args:
        costs: cost of each entrant [entrants].
        scores: mean score over parts [entrants, seeds].
        items_covariance: covariance of the mean scores over passages [entrants, entrants].
        draws: number of Monte Carlo draws.

    Raises:
        ValueError: if there are fewer than two seeds.
    """
    entrants, n = scores.shape
    if n < 2:
        raise ValueError(f"the front probability needs at least 2 seeds, but got {n}; train more seeds")
    rng = np.random.default_rng(0)
    covariance = np.atleast_2d(np.cov(scores)) / n
    normal = rng.multivariate_normal(np.zeros(entrants), covariance, size=draws, method="svd")
    drawn = scores.mean(1) + normal * np.sqrt((n - 1) / rng.chisquare(n - 1, size=(draws, 1)))
    if items_covariance is not None:
        drawn = drawn + rng.multivariate_normal(np.zeros(entrants), items_covariance, size=draws, method="svd")
    cheaper = costs[None, :] <= costs[:, None]  # [entrant, rival]
    np.fill_diagonal(cheaper, False)
    beaten = (drawn[:, None, :] >= drawn[:, :, None]) & cheaper[None, :, :]
    return 1.0 - beaten.any(axis=2).mean(axis=0)
