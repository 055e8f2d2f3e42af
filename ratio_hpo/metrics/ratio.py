"""Measures that are ratios of sums over items, and their standard errors by the jackknife.

Accuracy, F1 of answers and mean average precision are means: every denominator is 1. F1 of spans and accuracy of words
are ratios, and their items are sentences. The delete-one jackknife (Efron and Stein 1981) covers both; for a mean, it
equals the usual standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Sums = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Numerator and denominator for each item [items]."""


def ratio(sums: Sums) -> float:
    """Return the ratio of the sums; 0 if the denominators sum to 0.

    Examples:
        >>> ratio((np.array([1.0, 1.0]), np.array([1.0, 3.0])))
        0.5
    """
    below = float(sums[1].sum())
    return float(sums[0].sum()) / below if below else 0.0


def left_out(sums: Sums) -> NDArray[np.float64]:
    """Return the ratio without each item in turn [items]."""
    above, below = sums[0].sum() - sums[0], sums[1].sum() - sums[1]
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def variance(sums: Sums, other: Sums | None = None) -> float:
    """Return the jackknife variance of a ratio, or of its difference from another ratio over the same items.

    With a single item, return the largest variance that a score in [0, 1] can have, 1/4, or 1 for a difference.
    """
    n = len(sums[0])
    if n < 2:
        return 0.25 if other is None else 1.0
    leave_one_out = left_out(sums) if other is None else left_out(sums) - left_out(other)
    return float((n - 1) / n * ((leave_one_out - leave_one_out.mean()) ** 2).sum())


def standard_error(by_language: Sequence[Sums]) -> float:
    """Return the standard error of the unweighted mean over languages, whose items are independent.

    Examples:
        >>> round(standard_error([(np.array([0.0, 1.0]), np.ones(2))]), 3)
        0.5
    """
    return math.sqrt(sum(variance(sums) for sums in by_language)) / len(by_language)


def paired_error(ours: Sums, theirs: Sums) -> float:
    """Return the standard error of the difference of two ratios over the same items.

    Examples:
        >>> paired_error((np.array([1.0, 1.0]), np.ones(2)), (np.array([0.0, 0.0]), np.ones(2)))
        0.0
    """
    return math.sqrt(variance(ours, theirs))
