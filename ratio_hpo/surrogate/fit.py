"""Hyperparameters of the response model: the mode of their posterior, and the share that each output answers to.

All outputs share their hyperparameters, so that a few points of many languages say what a few points of one cannot.
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
"""Length scale of other parameters, in the unit cube, before anything is seen."""

STAGE_LENGTH = 2.0
"""The same of progress, in doublings."""

SPREADS = (1.0, 1.5, 1.0, 1.0, 1.0, 0.5, 0.5, 1.0)
"""Standard deviations of the logarithms of weights, lengths of shares and noise, before anything is seen."""

LENGTH_SPREAD = 0.7
BOUND = 4.0
"""Hyperparameters stay within so many standard deviations of where they begin."""

MAX_ROUNDS = 30


def start(blocks: Sequence[slice], stages: int) -> Hyper:
    """Where hyperparameters begin: medians of what is expected of them before anything is seen."""
    others = len(blocks) - stages
    return Hyper(lengths=(LENGTH,) * others + (STAGE_LENGTH,) * stages)


def choose_parts(common: Shared, outputs: Array, noise: float | Array, parts: int) -> tuple[int | None, ...]:
    """The share that each output answers to most, or None, by evidence.

    Args:
        outputs: scaled [n, m].
        noise: variance of all points, or of each.
    """
    choices: list[int | None] = [None, *range(parts)]
    evidence = np.array([_evidence(common.of(part), outputs, noise) for part in choices])
    return tuple(choices[k] for k in evidence.argmax(0))


def fit(
    table: FeatureTable, outputs: Array, blocks: Sequence[slice], begin: Hyper
) -> tuple[Hyper, tuple[int | None, ...]]:
    """Hyperparameters and each output's share.

    Args:
        outputs: scaled to mean 0 and variance 1 [n, m].
        begin: the centre of the prior, where the search for the mode begins.
    """
    pairs = Pairs(table, table, blocks)
    mixed, parts = table.shares.shape[1] > 0, table.shares.shape[1]
    chosen = choose_parts(shared(pairs, begin, mixed=mixed), outputs, begin.noise, parts)
    centre = begin.logs()
    spread = np.array([*SPREADS, *[LENGTH_SPREAD] * len(begin.lengths)])

    def objective(logs: Array) -> tuple[float, Array]:
        away = (logs - centre) / spread
        value, slope = _likelihood(pairs, outputs, chosen, Hyper.from_logs(logs), mixed=mixed)
        return value + 0.5 * float(away @ away), slope + away / spread

    bounds = list(zip(centre - BOUND * spread, centre + BOUND * spread, strict=True))
    found = minimize(objective, centre, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": MAX_ROUNDS})
    hyper = Hyper.from_logs(found.x)
    return hyper, choose_parts(shared(pairs, hyper, mixed=mixed), outputs, hyper.noise, parts)


def factor(covariance: Array, noise: float | Array) -> Array:
    """The lower Cholesky factor of a covariance with noise; more of it where rounding asks for it.

    Args:
        noise: variance of all points, or of each.
    """
    for _ in range(6):
        try:
            lower: Array = cholesky(covariance + (noise + JITTER) * np.eye(len(covariance)), lower=True)
            return lower
        except LinAlgError:
            noise = 10.0 * np.maximum(noise, JITTER)
    raise ArithmeticError("the covariance of the response model is not positive")


def _evidence(covariance: Array, outputs: Array, noise: float | Array) -> Array:
    """Log marginal likelihood of each output, less a constant [m]."""
    lower = factor(covariance, noise)
    solved = solve_triangular(lower, outputs, lower=True)
    evidence: Array = -0.5 * (solved**2).sum(0) - np.log(np.diag(lower)).sum()
    return evidence


def _likelihood(
    pairs: Pairs, outputs: Array, chosen: Sequence[int | None], hyper: Hyper, *, mixed: bool
) -> tuple[float, Array]:
    """Negative log likelihood of all outputs, and its slope over the logarithms of the hyperparameters.

    Rasmussen and Williams 2006, equations 2.30 and 5.9.
    """
    common = shared(pairs, hyper, mixed=mixed)
    shape = common.outer.shape
    value, own_slope = 0.0, 0.0
    whole, of_own = np.zeros(shape), np.zeros(shape)
    for part in sorted(set(chosen), key=lambda part: -1 if part is None else part):
        mine = outputs[:, [j for j, its in enumerate(chosen) if its == part]]
        lower = factor(common.of(part), hyper.noise)
        weights = cho_solve((lower, True), mine)
        value += 0.5 * float((mine * weights).sum()) + mine.shape[1] * float(np.log(np.diag(lower)).sum())
        pull = mine.shape[1] * cho_solve((lower, True), np.eye(len(mine))) - weights @ weights.T
        whole += pull
        if part is not None:
            near = pairs.own(part)
            of_own += pull * pairs.at_points(hyper.own * matern(near, hyper.own_length))
            slope = pairs.at_points(matern_slope(near, hyper.own_length) * near / hyper.own_length**2)
            own_slope += 0.5 * hyper.own * float((pull * common.outer * slope).sum())
    inner = whole * common.inner + of_own
    away = sum((d / length**2 for d, length in zip(pairs.others, hyper.lengths, strict=True)), np.zeros(shape))
    outer_slope = matern_slope(away, 1.0)
    outer = whole * common.outer
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
            0.5 * float((common.outer * of_own).sum()),
            0.5 * hyper.run_effect * float((outer * pairs.same_run).sum()),
            0.5 * hyper.smooth * float((outer * smooth_slope).sum()) if mixed else 0.0,
            own_slope,
            0.5 * hyper.noise * float(np.trace(whole)),
            *(
                0.5 * float((outer_slope * (d / length**2) * inner).sum())
                for d, length in zip(pairs.others, hyper.lengths, strict=True)
            ),
        ]
    )
