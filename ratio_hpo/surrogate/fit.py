"""Fit the hyperparameters of the response model: their posterior mode, and the share that each output depends on most.

All outputs share their hyperparameters, so that a few points of many languages are enough to fit them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from ratio_hpo.surrogate.features import FeatureTable
from ratio_hpo.surrogate.kernel import Hyper, Pairs, Shared, matern, matern_slope, shared

Array = NDArray[np.float64]

JITTER = 1e-8
LENGTH = 1.0
"""Prior median of the length scale of other parameters, in the unit cube."""

STAGE_LENGTH = 2.0
"""Prior median of the length scale of progress, in doublings."""

SPREADS = (1.0, 1.5, 1.0, 1.0, 1.0, 0.5, 0.5, 1.0)
"""Prior standard deviations of the logarithms of weights, length scales of shares, and noise."""

LENGTH_SPREAD = 0.7
"""Prior standard deviation of the logarithm of the length scales of other parameters and progress."""

BOUND = 4.0
"""Bound on the distance of hyperparameters from their prior medians, in prior standard deviations."""

MAX_ROUNDS = 30


def start(blocks: Sequence[slice], stages: int) -> Hyper:
    """Return the prior medians of the hyperparameters, from which the fit starts."""
    num_others = len(blocks) - stages
    return Hyper(lengths=(LENGTH,) * num_others + (STAGE_LENGTH,) * stages)


def choose_parts(common: Shared, outputs: Array, noise: float | Array, parts: int) -> tuple[int | None, ...]:
    """Choose the share that each output depends on most, or None, by marginal likelihood.

    Args:
        common: covariance terms that all outputs share.
        outputs: scaled outputs [n, m].
        noise: noise variance, of all points or of each point.
        parts: number of shares.
    """
    choices: list[int | None] = [None, *range(parts)]
    evidence = np.array([_evidence(common.of(part), outputs, noise) for part in choices])
    return tuple(choices[k] for k in evidence.argmax(0))


def fit(
    table: FeatureTable, outputs: Array, blocks: Sequence[slice], begin: Hyper
) -> tuple[Hyper, tuple[int | None, ...]]:
    """Fit the hyperparameters, and choose the share that each output depends on most.

    Args:
        table: points [n].
        outputs: outputs scaled to mean 0 and variance 1 [n, m].
        blocks: groups of columns of the other parameters that share a length scale.
        begin: centre of the prior, from which the fit starts.
    """
    pairs = Pairs(table, table, blocks)
    mixed, parts = table.shares.shape[1] > 0, table.shares.shape[1]
    chosen_parts = choose_parts(shared(pairs, begin, mixed=mixed), outputs, begin.noise, parts)
    centre = begin.logs()
    spread = np.array([*SPREADS, *[LENGTH_SPREAD] * len(begin.lengths)])

    def objective(logs: Array) -> tuple[float, Array]:
        deviations = (logs - centre) / spread
        value, slope = _likelihood(pairs, outputs, chosen_parts, Hyper.from_logs(logs), mixed=mixed)
        return value + 0.5 * float(deviations @ deviations), slope + deviations / spread

    bounds = list(zip(centre - BOUND * spread, centre + BOUND * spread, strict=True))
    optimum = minimize(objective, centre, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": MAX_ROUNDS})
    hyper = Hyper.from_logs(optimum.x)
    return hyper, choose_parts(shared(pairs, hyper, mixed=mixed), outputs, hyper.noise, parts)


def factor(covariance: Array, noise: float | Array) -> Array:
    """Return the lower Cholesky factor of a covariance with noise, which is increased if rounding requires it.

    Args:
        covariance: covariance without noise [n, n].
        noise: noise variance, of all points or of each point.

    Raises:
        ArithmeticError: the covariance is not positive definite, even with more noise.
    """
    for _ in range(6):
        try:
            lower: Array = cholesky(covariance + (noise + JITTER) * np.eye(len(covariance)), lower=True)
            return lower
        except LinAlgError:
            noise = 10.0 * np.maximum(noise, JITTER)
    raise ArithmeticError("the covariance of the response model is not positive definite")


def _evidence(covariance: Array, outputs: Array, noise: float | Array) -> Array:
    """Return the log marginal likelihood of each output, up to a constant [m]."""
    lower = factor(covariance, noise)
    solved = solve_triangular(lower, outputs, lower=True)
    evidence: Array = -0.5 * (solved**2).sum(0) - np.log(np.diag(lower)).sum()
    return evidence


def _likelihood(
    pairs: Pairs, outputs: Array, chosen_parts: Sequence[int | None], hyper: Hyper, *, mixed: bool
) -> tuple[float, Array]:
    """Return the negative log likelihood of all outputs, and its gradient in the logarithms of the hyperparameters.

    See Rasmussen and Williams 2006, equations 2.30 and 5.9.
    """
    common = shared(pairs, hyper, mixed=mixed)
    shape = common.outer.shape
    value, own_slope = 0.0, 0.0
    total_gradient, own_gradient = np.zeros(shape), np.zeros(shape)
    for part in sorted(set(chosen_parts), key=lambda part: -1 if part is None else part):
        part_outputs = outputs[:, [j for j, output_part in enumerate(chosen_parts) if output_part == part]]
        lower = factor(common.of(part), hyper.noise)
        weights = cho_solve((lower, True), part_outputs)
        count = part_outputs.shape[1]
        value += 0.5 * float((part_outputs * weights).sum()) + count * float(np.log(np.diag(lower)).sum())
        gradient = count * cho_solve((lower, True), np.eye(len(part_outputs))) - weights @ weights.T
        total_gradient += gradient
        if part is not None:
            squared = pairs.own(part)
            own_gradient += gradient * pairs.at_points(hyper.own * matern(squared, hyper.own_length))
            slope = pairs.at_points(matern_slope(squared, hyper.own_length) * squared / hyper.own_length**2)
            own_slope += 0.5 * hyper.own * float((gradient * common.outer * slope).sum())
    inner = total_gradient * common.inner + own_gradient
    distance = sum((d / length**2 for d, length in zip(pairs.others, hyper.lengths, strict=True)), np.zeros(shape))
    outer_slope = matern_slope(distance, 1.0)
    outer = total_gradient * common.outer
    hellinger = pairs.hellinger
    smooth_slope = matern_slope(hellinger, hyper.smooth_length) * hellinger / hyper.smooth_length**2
    products, smooth, smooth_slope = (
        pairs.at_points(values) for values in (pairs.products, matern(hellinger, hyper.smooth_length), smooth_slope)
    )
    return value, np.array(
        [
            0.5 * hyper.constant * float(outer.sum()),
            0.5 * hyper.linear * float((outer * products).sum()) if mixed else 0.0,
            0.5 * hyper.smooth * float((outer * smooth).sum()) if mixed else 0.0,
            0.5 * float((common.outer * own_gradient).sum()),
            0.5 * hyper.run_effect * float((outer * pairs.same_run).sum()),
            0.5 * hyper.smooth * float((outer * smooth_slope).sum()) if mixed else 0.0,
            own_slope,
            0.5 * hyper.noise * float(np.trace(total_gradient)),
            *(
                0.5 * float((outer_slope * (d / length**2) * inner).sum())
                for d, length in zip(pairs.others, hyper.lengths, strict=True)
            ),
        ]
    )
