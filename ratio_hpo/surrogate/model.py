"""The response model: what each language is expected to score at any place, from every point of every curve.

A Gaussian process an output, whose hyperparameters all outputs share. Outputs are taken as -log(ceiling - score), a
little above the best score that was seen: laws of mixtures are laws of the logarithm of the loss that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from ratio_hpo.surrogate.features import FeatureTable
from ratio_hpo.surrogate.fit import JITTER, factor, fit, start
from ratio_hpo.surrogate.kernel import Hyper, Pairs, shared, variances
from ratio_hpo.surrogate.mean_function import DOUBT, TRUST, MeanFunction, followed

Array = NDArray[np.float64]

HEADROOM = 0.2
"""The ceiling lies above the best score by so much of the range of scores."""

NEIGHBOURHOOD = 0.5
"""Doublings of progress within which points have the same level."""

SHRUNK = 3.0
"""The spread at a level is drawn to that of all points as if it had been seen in so many more."""

MAX_FITTED = 150
"""Points that hyperparameters are fitted on, at most; the posterior takes all points."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Hyperparameters, and the share that each output answers to."""

    hyper: Hyper
    parts: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is expected at some points, without noise.

    Attributes:
        outputs, output_sd: mean and standard deviation of each output [n, m].
        mean, sd: of the weighted mean over outputs [n].
        median, room, spread: of its law [n], z standard deviations up: median + room (1 - exp(-z spread)). Below a
            ceiling doubt reaches further down than up; whoever looks for gains must not take the one for the other.
    """

    outputs: Array
    output_sd: Array
    mean: Array
    sd: Array
    median: Array
    headroom: Array
    spread: Array


class ResponseModel:
    """A model of scores.

    Args:
        blocks: columns of the other parameters that share a length scale; the last ones are of stages.
        stages: how many of them.
        table: points [n].
        scores: of each point [n, m].
        weights: of the outputs in their mean [m]; None: all the same.
        fitted: kept from a model on fewer points; None: fitted on these.
        priors: what is believed beforehand; how far each is to be trusted is learned, by output.

    Examples:
        >>> import numpy as np
        >>> ratio = np.linspace(0, 1, 9)
        >>> table = FeatureTable(np.stack([1 - ratio, ratio], axis=1), np.zeros((9, 0)), np.arange(9))
        >>> model = ResponseModel((), 0, table, (1 - (ratio - 0.6) ** 2)[:, None])
        >>> float(ratio[model.predict(table).mean.argmax()])
        0.625
    """

    fitted: Fitted

    def __init__(
        self,
        blocks: Sequence[slice],
        stages: int,
        table: FeatureTable,
        scores: Array,
        weights: Array | None = None,
        fitted: Fitted | None = None,
        priors: Sequence[MeanFunction] = (),
    ) -> None:
        self._blocks, self._table, self._priors = tuple(blocks), table, tuple(priors)
        self._weights = np.full(scores.shape[1], 1.0 / scores.shape[1]) if weights is None else weights
        low, high = scores.min(0), scores.max(0)
        self._ceiling = high + HEADROOM * np.maximum(high - low, 1e-6)
        logs = -np.log(self._ceiling - scores)
        self._stages, self._logs = stages, logs
        self._believed = self._beliefs(table)
        centre, scale = self._level(table)
        scaled = (logs - centre) / scale
        if fitted is None:
            some = _spread_over(len(table), MAX_FITTED)
            left = scaled - followed(self._believed, scaled)
            fitted = Fitted(*fit(table.rows(some), left[some], blocks, start(blocks, stages)))
        self.fitted = fitted
        self._mixed = table.shares.shape[1] > 0
        self._condition(scaled)

    def predict(self, table: FeatureTable, *, measured: bool = False) -> Posterior:
        """Means and standard deviations at points, each output by itself.

        Args:
            measured: of what one more run would score there, with its luck and the noise of its scores, and not of
                what runs score there on average.
        """
        hyper, believed = self.fitted.hyper, self._beliefs(table)
        across_by = self._across(table, believed)
        means, sds = np.empty((len(table), len(self._weights))), np.empty((len(table), len(self._weights)))
        for part, columns in self._columns.items():
            across = across_by(part)
            means[:, columns] = across @ self._solved[part]
            sds[:, columns] = self._deviations(table, believed, part, across)[:, None]
        means += TRUST * believed.sum(1, keepdims=True)
        if measured:
            sds = np.sqrt(sds**2 + hyper.run_effect + hyper.noise)
        return self._in_scores(table, means, sds)

    def quick(self, table: FeatureTable) -> Posterior:
        """The same, with the standard deviations of the largest group of outputs for all: a fraction of the time."""
        believed = self._beliefs(table)
        across_by = self._across(table, believed)
        means = np.empty((len(table), len(self._weights)))
        for part, columns in self._columns.items():
            means[:, columns] = across_by(part) @ self._solved[part]
        means += TRUST * believed.sum(1, keepdims=True)
        part = max(self._columns, key=lambda part: len(self._columns[part]))
        sds = self._deviations(table, believed, part, across_by(part))
        return self._in_scores(table, means, np.broadcast_to(sds[:, None], means.shape))

    def draws(self, table: FeatureTable, number: int, rng: np.random.Generator) -> Array:
        """What the weighted mean may be at all points at once, drawn from its law [number, n]."""
        values = np.zeros((number, len(table)))
        for column, drawn in self._drawn(table, number, rng):
            values += self._weights[column] * drawn
        return values

    def draw_outputs(self, table: FeatureTable, number: int, rng: np.random.Generator) -> Array:
        """What each output may be at all points at once [number, n, m]."""
        values = np.empty((number, len(table), len(self._weights)))
        for column, drawn in self._drawn(table, number, rng):
            values[..., column] = drawn
        return values

    def _drawn(self, table: FeatureTable, number: int, rng: np.random.Generator) -> Iterator[tuple[int, Array]]:
        """Outputs drawn from their law [number, n]; a group of outputs errs together as much as residuals do."""
        believed = self._beliefs(table)
        here = shared(Pairs(table, table, self._blocks), self.fitted.hyper, mixed=self._mixed)
        across_by = self._across(table, believed)
        level, scale = self._level(table)
        together = rng.standard_normal((number, len(table)))
        own, all_one = np.sqrt(1.0 - self._correlation), np.sqrt(self._correlation)
        for part, columns in self._columns.items():
            across = across_by(part)
            solved = solve_triangular(self._lower[part], across.T, lower=True)
            lower = factor(here.of(part) + DOUBT * believed @ believed.T - solved.T @ solved, JITTER)
            means = across @ self._solved[part] + TRUST * believed.sum(1, keepdims=True)
            for k, column in enumerate(columns):
                noise = all_one * together + own * rng.standard_normal(together.shape)
                scaled = level[:, column] + scale[:, column] * (means[:, k] + noise @ lower.T)
                yield column, self._ceiling[column] - np.exp(-scaled)

    def _across(self, table: FeatureTable, believed: Array) -> Callable[[int | None], Array]:
        """The covariance of points with what was seen, of outputs that answer to a share."""
        common = shared(Pairs(table, self._table, self._blocks), self.fitted.hyper, mixed=self._mixed)
        if not self._priors:
            return common.of
        trend = DOUBT * believed @ self._believed.T
        return lambda part: common.of(part) + trend

    def _deviations(self, table: FeatureTable, believed: Array, part: int | None, across: Array) -> Array:
        """Standard deviations of scaled outputs that answer to a share [n], from the covariance with what was seen."""
        solved = solve_triangular(self._lower[part], across.T, lower=True)
        before = variances(table, self.fitted.hyper, part) + DOUBT * (believed**2).sum(1)
        deviations: Array = np.sqrt(np.maximum(before - (solved**2).sum(0), 1e-10))
        return deviations

    def _beliefs(self, table: FeatureTable) -> Array:
        """What each prior says of points [n, priors], above what it says of those seen about as far on."""
        if not self._priors:
            return np.zeros((len(table), 0))
        there = np.stack([prior(self._table) for prior in self._priors], axis=1)
        here = there if table is self._table else np.stack([prior(table) for prior in self._priors], axis=1)
        near = self._near(table)
        return here - (near @ there + 1e-12 * there.mean(0)) / (near.sum(1)[:, None] + 1e-12)

    def tendency(self, table: FeatureTable) -> Array:
        """How far the weighted mean lies above the common curve at points, in standard deviations [n]: a prior."""
        across_by = self._across(table, self._beliefs(table))
        means: Array = np.zeros(len(table))
        for part, columns in self._columns.items():
            means += across_by(part) @ self._solved[part] @ self._weights[columns]
        return means

    def _near(self, table: FeatureTable) -> Array:
        """How near what was seen lies to each point in progress [n, seen]."""
        if not self._stages:
            return np.ones((len(table), len(self._table)))
        here, there = table.others[:, -self._stages :], self._table.others[:, -self._stages :]
        near: Array = np.exp(-0.5 * ((here[:, None] - there[None]) ** 2).sum(2) / NEIGHBOURHOOD**2)
        return near

    def _level(self, table: FeatureTable) -> tuple[Array, Array]:
        """Mean and standard deviation [n, m] of what was seen about as far on as each point: the common curve.

        The process is of what is above and below it.
        """
        whole, every = self._logs.mean(0), np.maximum(self._logs.std(0), 1e-9)
        if not self._stages:
            return np.broadcast_to(whole, (len(table), len(whole))), np.broadcast_to(every, (len(table), len(whole)))
        near = self._near(table)
        count = near.sum(1)[:, None] + 1e-12
        centre = (near @ self._logs + 1e-12 * whole) / count
        about = np.maximum(near @ self._logs**2 / count - (near @ self._logs / count) ** 2, 0.0)
        return centre, np.sqrt((count * about + SHRUNK * every**2) / (count + SHRUNK))

    def _condition(self, scaled: Array) -> None:
        hyper, parts = self.fitted.hyper, self.fitted.parts
        scaled = scaled - TRUST * self._believed.sum(1, keepdims=True)
        across_by = self._across(self._table, self._believed)
        self._columns = {part: [j for j, its in enumerate(parts) if its == part] for part in dict.fromkeys(parts)}
        self._lower = {part: factor(across_by(part), hyper.noise) for part in self._columns}
        self._solved = {
            part: cho_solve((self._lower[part], True), scaled[:, columns]) for part, columns in self._columns.items()
        }
        residuals = np.empty_like(scaled)
        for part, columns in self._columns.items():
            inverse = solve_triangular(self._lower[part], np.eye(len(scaled)), lower=True)
            residuals[:, columns] = self._solved[part] / np.sqrt((inverse**2).sum(0))[:, None]
        self._correlation = _mean_correlation(residuals)

    def _in_scores(self, table: FeatureTable, means: Array, sds: Array) -> Posterior:
        """Means and standard deviations of log-normal distances to the ceiling."""
        level, scale = self._level(table)
        centre, spread = level + scale * means, scale * sds
        left = np.exp(-centre + 0.5 * spread**2)
        outputs, output_sd = self._ceiling - left, left * np.sqrt(np.expm1(np.minimum(spread**2, 20.0)))
        middle = np.exp(-centre)
        headroom, up = middle @ self._weights, np.sqrt(self._together(middle * -np.expm1(-spread)))
        return Posterior(
            outputs=outputs,
            output_sd=output_sd,
            mean=outputs @ self._weights,
            sd=np.sqrt(self._together(output_sd)),
            median=(self._ceiling - middle) @ self._weights,
            headroom=headroom,
            spread=-np.log1p(-np.minimum(up / headroom, 1.0 - 1e-9)),
        )

    def _together(self, sds: Array) -> Array:
        """Variance of the weighted mean [n] of outputs whose errors go together as residuals do."""
        parts = sds * self._weights
        alone, all_one = (parts**2).sum(1), parts.sum(1) ** 2
        together: Array = (1.0 - self._correlation) * alone + self._correlation * all_one
        return together


def _mean_correlation(residuals: Array) -> float:
    """How outputs' leave-one-out residuals go together, in [0, 1]; half-way where there are few."""
    count, size = residuals.shape
    if size == 1 or count < 3:
        return 1.0
    scaled = residuals / np.maximum(residuals.std(0), 1e-12)
    found = scaled.T @ scaled / count
    mean = (found.sum() - np.trace(found)) / (size * (size - 1))
    part = count / (count + 10.0)
    return float(np.clip(part * mean + (1.0 - part) * 0.5, 0.0, 1.0))


def _spread_over(count: int, most: int) -> NDArray[np.intp]:
    """Numbers below `count`, evenly spread, at most so many."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))
