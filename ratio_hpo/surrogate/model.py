"""The response model: predicts the score of each language for any parameters, from all points of all curves.

Each output is a Gaussian process, and all outputs share their hyperparameters. An output is -log(ceiling - score), with
a ceiling a little above the best observed score, because mixing laws describe the logarithm of the remaining loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from ratio_hpo.surrogate.features import DOUBT, TRUST, FeatureTable, MeanFunction, followed
from ratio_hpo.surrogate.fit import JITTER, factor, fit, start
from ratio_hpo.surrogate.kernel import Hyper, Pairs, shared, variances

Array = NDArray[np.float64]

HEADROOM = 0.2
"""Distance of the ceiling above the best score, as a fraction of the range of scores."""

NEIGHBOURHOOD = 0.5
"""Bandwidth of the common curve, in doublings of progress."""

SHRUNK = 3.0
"""Weight of the overall standard deviation in the local one, in equivalent points."""

MAX_FITTED = 150
"""Maximum number of points for fitting hyperparameters; the posterior uses all points."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Hyperparameters, and the share that each output depends on most."""

    hyper: Hyper
    parts: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Posterior:
    """Predictions at points, without noise.

    Attributes:
        outputs, output_sd: mean and standard deviation of each output [n, m].
        mean, sd: mean and standard deviation of the weighted mean over outputs [n].
        median, headroom, spread: parameters of the distribution of the weighted mean [n]. The value z standard
            deviations up is median + headroom (1 - exp(-z spread)). Because of the ceiling, the distribution reaches
            further down than up, so a symmetric interval would overstate gains.
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
        blocks: groups of columns of other parameters that share a length scale; the last groups are stages.
        stages: number of stages.
        table: points [n].
        scores: scores of each point [n, m].
        weights: weight of each output in the weighted mean [m]; None for equal weights.
        fitted: hyperparameters from a model of fewer points; None to fit them on these points.
        priors: mean functions; their factors are learned for each output.

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
        self._observed_priors = self._prior_values(table)
        centre, scale = self._level(table)
        scaled = (logs - centre) / scale
        if fitted is None:
            selected_rows = _spread_over(len(table), MAX_FITTED)
            residuals = scaled - followed(self._observed_priors, scaled)
            fitted = Fitted(*fit(table.rows(selected_rows), residuals[selected_rows], blocks, start(blocks, stages)))
        self.fitted = fitted
        self._mixed = table.shares.shape[1] > 0
        self._condition(scaled)

    def predict(self, table: FeatureTable, *, measured: bool = False) -> Posterior:
        """Return means and standard deviations at points, computed separately for each output.

        Args:
            table: points to predict.
            measured: predict the score of one more run, with its run effect and noise, instead of the average over
                runs.
        """
        hyper, prior_values = self.fitted.hyper, self._prior_values(table)
        across_by = self._across(table, prior_values)
        means, sds = np.empty((len(table), len(self._weights))), np.empty((len(table), len(self._weights)))
        for part, columns in self._columns.items():
            across = across_by(part)
            means[:, columns] = across @ self._solved[part]
            sds[:, columns] = self._deviations(table, prior_values, part, across)[:, None]
        means += TRUST * prior_values.sum(1, keepdims=True)
        if measured:
            sds = np.sqrt(sds**2 + hyper.run_effect + hyper.noise)
        return self._in_scores(table, means, sds)

    def quick(self, table: FeatureTable) -> Posterior:
        """Predict faster, using the standard deviations of the largest group of outputs for all outputs."""
        prior_values = self._prior_values(table)
        across_by = self._across(table, prior_values)
        means = np.empty((len(table), len(self._weights)))
        for part, columns in self._columns.items():
            means[:, columns] = across_by(part) @ self._solved[part]
        means += TRUST * prior_values.sum(1, keepdims=True)
        part = max(self._columns, key=lambda part: len(self._columns[part]))
        sds = self._deviations(table, prior_values, part, across_by(part))
        return self._in_scores(table, means, np.broadcast_to(sds[:, None], means.shape))

    def draws(self, table: FeatureTable, number: int, rng: np.random.Generator) -> Array:
        """Draw the weighted mean jointly at all points from its posterior [number, n]."""
        values = np.zeros((number, len(table)))
        for column, output_draws in self._draw_each(table, number, rng):
            values += self._weights[column] * output_draws
        return values

    def draw_outputs(self, table: FeatureTable, number: int, rng: np.random.Generator) -> Array:
        """Draw each output jointly at all points from its posterior [number, n, m]."""
        values = np.empty((number, len(table), len(self._weights)))
        for column, output_draws in self._draw_each(table, number, rng):
            values[..., column] = output_draws
        return values

    def _draw_each(self, table: FeatureTable, number: int, rng: np.random.Generator) -> Iterator[tuple[int, Array]]:
        """Yield each output with its posterior draws [number, n]; errors of outputs correlate as residuals do."""
        prior_values = self._prior_values(table)
        common = shared(Pairs(table, table, self._blocks), self.fitted.hyper, mixed=self._mixed)
        across_by = self._across(table, prior_values)
        level, scale = self._level(table)
        common_noise = rng.standard_normal((number, len(table)))
        own_weight, common_weight = np.sqrt(1.0 - self._correlation), np.sqrt(self._correlation)
        for part, columns in self._columns.items():
            across = across_by(part)
            solved = solve_triangular(self._lower[part], across.T, lower=True)
            lower = factor(common.of(part) + DOUBT * prior_values @ prior_values.T - solved.T @ solved, JITTER)
            means = across @ self._solved[part] + TRUST * prior_values.sum(1, keepdims=True)
            for k, column in enumerate(columns):
                noise = common_weight * common_noise + own_weight * rng.standard_normal(common_noise.shape)
                scaled = level[:, column] + scale[:, column] * (means[:, k] + noise @ lower.T)
                yield column, self._ceiling[column] - np.exp(-scaled)

    def _across(self, table: FeatureTable, prior_values: Array) -> Callable[[int | None], Array]:
        """Return a function from a share to the covariance of points with the observed points."""
        common = shared(Pairs(table, self._table, self._blocks), self.fitted.hyper, mixed=self._mixed)
        if not self._priors:
            return common.of
        trend = DOUBT * prior_values @ self._observed_priors.T
        return lambda part: common.of(part) + trend

    def _deviations(self, table: FeatureTable, prior_values: Array, part: int | None, across: Array) -> Array:
        """Return the standard deviations of scaled outputs that depend on a share [n].

        Args:
            across: covariance of the points with the observed points.
        """
        solved = solve_triangular(self._lower[part], across.T, lower=True)
        prior_variances = variances(table, self.fitted.hyper, part) + DOUBT * (prior_values**2).sum(1)
        deviations: Array = np.sqrt(np.maximum(prior_variances - (solved**2).sum(0), 1e-10))
        return deviations

    def _prior_values(self, table: FeatureTable) -> Array:
        """Return each prior at points, relative to its mean at observed points of similar progress [n, priors]."""
        if not self._priors:
            return np.zeros((len(table), 0))
        observed_values = np.stack([prior(self._table) for prior in self._priors], axis=1)
        values = observed_values if table is self._table else np.stack([prior(table) for prior in self._priors], axis=1)
        near = self._near(table)
        return values - (near @ observed_values + 1e-12 * observed_values.mean(0)) / (near.sum(1)[:, None] + 1e-12)

    def tendency(self, table: FeatureTable) -> Array:
        """Return how far the weighted mean lies above the common curve, in standard deviations [n].

        A warm start uses this as the mean function of another study.
        """
        across_by = self._across(table, self._prior_values(table))
        means: Array = np.zeros(len(table))
        for part, columns in self._columns.items():
            means += across_by(part) @ self._solved[part] @ self._weights[columns]
        return means

    def _near(self, table: FeatureTable) -> Array:
        """Return the weights of observed points by similarity of progress [n, observed]."""
        if not self._stages:
            return np.ones((len(table), len(self._table)))
        progress, observed_progress = table.others[:, -self._stages :], self._table.others[:, -self._stages :]
        weights: Array = np.exp(-0.5 * ((progress[:, None] - observed_progress[None]) ** 2).sum(2) / NEIGHBOURHOOD**2)
        return weights

    def _level(self, table: FeatureTable) -> tuple[Array, Array]:
        """Return mean and standard deviation of observed points of similar progress: the common curve [n, m].

        The Gaussian process models deviations from it.
        """
        overall_mean, overall_sd = self._logs.mean(0), np.maximum(self._logs.std(0), 1e-9)
        if not self._stages:
            shape = len(table), len(overall_mean)
            return np.broadcast_to(overall_mean, shape), np.broadcast_to(overall_sd, shape)
        near = self._near(table)
        count = near.sum(1)[:, None] + 1e-12
        centre = (near @ self._logs + 1e-12 * overall_mean) / count
        variance = np.maximum(near @ self._logs**2 / count - (near @ self._logs / count) ** 2, 0.0)
        return centre, np.sqrt((count * variance + SHRUNK * overall_sd**2) / (count + SHRUNK))

    def _condition(self, scaled: Array) -> None:
        hyper, parts = self.fitted.hyper, self.fitted.parts
        scaled = scaled - TRUST * self._observed_priors.sum(1, keepdims=True)
        across_by = self._across(self._table, self._observed_priors)
        self._columns = {
            part: [j for j, output_part in enumerate(parts) if output_part == part] for part in dict.fromkeys(parts)
        }
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
        """Convert scaled predictions to scores, whose distances to the ceiling are log-normal."""
        level, scale = self._level(table)
        centre, spread = level + scale * means, scale * sds
        remaining = np.exp(-centre + 0.5 * spread**2)
        outputs, output_sd = self._ceiling - remaining, remaining * np.sqrt(np.expm1(np.minimum(spread**2, 20.0)))
        middle = np.exp(-centre)
        headroom, up = middle @ self._weights, np.sqrt(self._variance_of_mean(middle * -np.expm1(-spread)))
        return Posterior(
            outputs=outputs,
            output_sd=output_sd,
            mean=outputs @ self._weights,
            sd=np.sqrt(self._variance_of_mean(output_sd)),
            median=(self._ceiling - middle) @ self._weights,
            headroom=headroom,
            spread=-np.log1p(-np.minimum(up / headroom, 1.0 - 1e-9)),
        )

    def _variance_of_mean(self, sds: Array) -> Array:
        """Return the variance of the weighted mean of outputs whose errors correlate as residuals do [n]."""
        weighted_sds = sds * self._weights
        uncorrelated, correlated = (weighted_sds**2).sum(1), weighted_sds.sum(1) ** 2
        variance: Array = (1.0 - self._correlation) * uncorrelated + self._correlation * correlated
        return variance


def _mean_correlation(residuals: Array) -> float:
    """Return the mean correlation of the outputs' leave-one-out residuals, shrunk to 0.5 for few points, in [0, 1]."""
    count, size = residuals.shape
    if size == 1 or count < 3:
        return 1.0
    scaled = residuals / np.maximum(residuals.std(0), 1e-12)
    correlations = scaled.T @ scaled / count
    mean = (correlations.sum() - np.trace(correlations)) / (size * (size - 1))
    weight = count / (count + 10.0)
    return float(np.clip(weight * mean + (1.0 - weight) * 0.5, 0.0, 1.0))


def _spread_over(count: int, limit: int) -> NDArray[np.intp]:
    """Return at most `most` evenly spaced integers below `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(np.intp))
