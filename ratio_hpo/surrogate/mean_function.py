"""What is believed before anything is seen, as a mean that the response model may come to distrust.

Scores are taken to follow a belief f by an unknown factor b, for each output by itself: b f(x) + GP(x), b ~ N(1, 1).
That is a Gaussian process again (Rasmussen and Williams 2006, section 2.7): its mean is f, and its covariance has one
more term, f(x) f(x'). So data decide how far the belief is trusted: they draw the factor to 0 where it says nothing,
and below 0 where the opposite is true, at which it says as much as a true one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.surrogate.features import FeatureTable

Array = NDArray[np.float64]

MeanFunction = Callable[[FeatureTable], Array]
"""How far scores are believed to lie above the common curve at each point, in standard deviations [n]."""

TRUST, DOUBT = 1.0, 1.0
"""Mean and variance of the factor, before anything is seen."""


def followed(believed: Array, scaled: Array) -> Array:
    """The part of scaled outputs that follows beliefs [n, m], by the most probable factors.

    Args:
        believed: of each point by each belief [n, k].
        scaled: outputs [n, m].
    """
    size = believed.shape[1]
    if not size:
        return np.zeros_like(scaled)
    before = np.full((size, 1), TRUST / DOUBT)
    factors = np.linalg.solve(believed.T @ believed + np.eye(size) / DOUBT, believed.T @ scaled + before)
    part: Array = believed @ factors
    return part
