"""Whether one way of training beats another: paired differences over training seeds and over the items that are scored.

Two things make a measured difference other than the true one: which seeds were drawn, and which passages. The variance
of its mean over n seeds is the seeds' (that of the differences, over n) and the passages' (of a bootstrap over passages
of the differences' mean). What the two have in common is counted twice, which errs on the safe side: without it, two
seeds reject 8.6 % of true nulls, with it 3.5 %. Where items are not known this is the paired t test with n - 1 degrees
of freedom; together, Satterthwaite's. A bootstrap over few seeds has no such safety: its percentiles over three of them
reject a quarter of true nulls.
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
"""Of tests, two-sided, and of the smallest difference that is called visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A mean difference with what is known of it.

    Attributes:
        mean: over seeds.
        error: its standard error.
        df: degrees of freedom of Student's t.
        sd: of the differences over seeds.
        seeds: how many.
    """

    mean: float
    error: float
    df: float
    sd: float
    seeds: int

    @property
    def p(self) -> float:
        """Of the two-sided test that the true difference is 0.

        Examples:
            >>> round(difference(np.array([0.1, 0.2, 0.3])).p, 3)
            0.074
        """
        if self.error == 0.0:
            return 1.0 if self.mean == 0.0 else 0.0
        return float(2.0 * stdtr(self.df, -abs(self.mean) / self.error))

    @property
    def probability(self) -> float:
        """That the true difference is above 0, all values being as likely beforehand."""
        if self.error == 0.0:
            return 0.5 if self.mean == 0.0 else float(self.mean > 0.0)
        return float(stdtr(self.df, self.mean / self.error))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """That holds the true difference in all but `level` of cases."""
        half = float(stdtrit(self.df, 1.0 - level / 2.0)) * self.error if self.error else 0.0
        return self.mean - half, self.mean + half

    @property
    def smallest_visible(self) -> float:
        """The true difference that a test at 5 % finds in four of five cases, with as many seeds (Cohen 1988)."""
        return float(stdtrit(self.df, 1.0 - LEVEL / 2.0) + stdtrit(self.df, POWER)) * self.error


def difference(by_seed: Array, resampled: Array | None = None, groups: int = 0) -> Difference:
    """The mean of paired differences.

    Args:
        by_seed: one difference a seed [n], n >= 2.
        resampled: the same over passages drawn anew [draws, n]; None: items are not known.
        groups: how many passages were drawn from.

    Raises:
        ValueError: fewer than two seeds.

    Examples:
        >>> found = difference(np.array([0.02, 0.03, 0.04]))
        >>> round(found.mean, 3), found.df, round(found.probability, 3)
        (0.03, 2.0, 0.982)
    """
    n = len(by_seed)
    if n < 2:
        raise ValueError(f"a difference needs at least 2 seeds, but got {n}")
    sd = float(by_seed.std(ddof=1))
    of_seeds, of_items = sd**2 / n, 0.0
    if resampled is not None and groups > 1:
        of_items = float(resampled.mean(axis=1).var())
    total = of_seeds + of_items
    spread = of_seeds**2 / (n - 1) + (of_items**2 / (groups - 1) if of_items else 0.0)
    df = total**2 / spread if spread else float(n - 1)
    return Difference(mean=float(by_seed.mean()), error=math.sqrt(total), df=df, sd=sd, seeds=n)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are (Holm 1979): any false claim among them is held to the level.

    Examples:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(values, kind="stable")
    corrected, worst = [0.0] * len(values), 0.0
    for rank, k in enumerate(order.tolist()):
        worst = max(worst, min(1.0, (len(values) - rank) * values[k]))
        corrected[k] = worst
    return corrected


@dataclass(frozen=True, slots=True)
class Items:
    """Sums of items by passage, the same passages for all that are compared.

    Attributes:
        above, below: numerators and denominators [entrants, seeds, rows].
        parts: number of the part of each row, a target in a language [rows].
        groups: number of the passage of each row; parallel languages share it [rows].
    """

    above: Array
    below: Array
    parts: NDArray[np.intp]
    groups: NDArray[np.intp]

    @property
    def num_groups(self) -> int:
        return int(self.groups.max()) + 1 if len(self.groups) else 0

    def scores(self, weights: Array | None = None) -> Array:
        """The measure of each part [draws, entrants, seeds, parts].

        Args:
            weights: how often each passage was drawn [draws, groups]; None: each once.
        """
        weights = np.ones((1, self.num_groups)) if weights is None else weights
        found = []
        for part in range(int(self.parts.max()) + 1):
            rows = np.flatnonzero(self.parts == part)
            times = weights[:, self.groups[rows]]
            above = np.einsum("dr,esr->des", times, self.above[:, :, rows], optimize=True)
            below = np.einsum("dr,esr->des", times, self.below[:, :, rows], optimize=True)
            found.append(np.divide(above, below, out=np.zeros_like(above), where=below > 0))
        return np.stack(found, axis=-1)

    def resampled(self, draws: int = 1000, seed: int = 0) -> Array:
        """The measures over passages drawn anew, with replacement [draws, entrants, seeds, parts]."""
        rng = np.random.default_rng(seed)
        each = np.full(self.num_groups, 1.0 / self.num_groups)
        return self.scores(rng.multinomial(self.num_groups, each, size=draws).astype(np.float64))


def on_front(costs: Array, scores: Array, items_covariance: Array | None = None, draws: int = 20_000) -> Array:
    """Probability that each entrant belongs to the front of cost and score [entrants].

    Args:
        costs: [entrants].
        scores: on average over parts [entrants, seeds].
        items_covariance: of the mean scores over passages [entrants, entrants].
    """
    entrants, n = scores.shape
    if n < 2:
        raise ValueError(f"a probability needs at least 2 seeds, but got {n}")
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
