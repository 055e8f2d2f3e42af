"""Ratio of two means over paired runs, with a bootstrap interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS = 4000


def ratio_of_means(pairs: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean of the first column divided by that of the second, with a 95 % bootstrap interval over rows.

    Args:
        pairs: values of the two methods, [n, 2].
    """
    drawn = pairs[np.random.default_rng(0).integers(0, len(pairs), (DRAWS, len(pairs)))].mean(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    ours, theirs = pairs.mean(0)
    return float(ours / theirs), float(low), float(high)
