"""Mean functions: prior knowledge as a mean of the response model, weighted by the data.

Each output is modelled as b f(x) + GP(x), with a mean function f and an unknown factor b ~ N(1, 1). This is again a
Gaussian process (Rasmussen and Williams 2006, section 2.7): its mean is f, and its covariance has the additional term
f(x) f(x'). So the data decide how much f counts: its factor moves to 0 if f is uninformative, and below 0 if scores do
the opposite of f, which is as informative as a correct f.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.surrogate.features import FeatureTable

Array = NDArray[np.float64]

MeanFunction = Callable[[FeatureTable], Array]
"""Returns how far scores are expected to lie above the common curve at each point, in standard deviations [n]."""

TRUST, DOUBT = 1.0, 1.0
"""Prior mean and variance of the factor."""


def followed(believed: Array, scaled: Array) -> Array:
    """Return the part of scaled outputs that the mean functions explain, with the most probable factors [n, m].

    Args:
        believed: value of each mean function at each point [n, k].
        scaled: scaled outputs [n, m].
    """
    num_priors = believed.shape[1]
    if not num_priors:
        return np.zeros_like(scaled)
    prior_term = np.full((num_priors, 1), TRUST / DOUBT)
    factors = np.linalg.solve(believed.T @ believed + np.eye(num_priors) / DOUBT, believed.T @ scaled + prior_term)
    explained: Array = believed @ factors
    return explained
