"""Measures that are ratios of sums over items, and how far they would move were other items drawn: the jackknife.

Accuracy, F1 of answers and mean average precision are means (every denominator is 1); F1 of spans and accuracy of
words are not, and their items are sentences. The delete-one jackknife (Efron and Stein 1981) serves them all, and of a
mean it is the usual standard error, to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Sums = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Numerator and denominator of each item [items]."""


def ratio(sums: Sums) -> float:
    """The ratio of the sums; 0 where there is nothing to divide by.

    Examples:
        >>> ratio((np.array([1.0, 1.0]), np.array([1.0, 3.0])))
        0.5
    """
    below = float(sums[1].sum())
    return float(sums[0].sum()) / below if below else 0.0


def left_out(sums: Sums) -> NDArray[np.float64]:
    """The ratio without each item in turn [items]."""
    above, below = sums[0].sum() - sums[0], sums[1].sum() - sums[1]
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def variance(sums: Sums, other: Sums | None = None) -> float:
    """Jackknife variance of a ratio, or of its difference to another one over the same items.

    A single item counts with the largest variance that a score in [0, 1] can have, 1/4; a difference with 1.
    """
    n = len(sums[0])
    if n < 2:
        return 0.25 if other is None else 1.0
    each = left_out(sums) if other is None else left_out(sums) - left_out(other)
    return float((n - 1) / n * ((each - each.mean()) ** 2).sum())


def standard_error(by_language: Sequence[Sums]) -> float:
    """Of the unweighted mean over languages, whose items are drawn apart.

    Examples:
        >>> round(standard_error([(np.array([0.0, 1.0]), np.ones(2))]), 3)
        0.5
    """
    return math.sqrt(sum(variance(sums) for sums in by_language)) / len(by_language)


def paired_error(ours: Sums, theirs: Sums) -> float:
    """Of the difference of two ratios over the same items.

    Examples:
        >>> paired_error((np.array([1.0, 1.0]), np.ones(2)), (np.array([0.0, 0.0]), np.ones(2)))
        0.0
    """
    return math.sqrt(variance(ours, theirs))
