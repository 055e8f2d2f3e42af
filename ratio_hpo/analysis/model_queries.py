"""Predictions of a study's response model, with their uncertainty.

A band is an 80 % interval for the score of one more run, its run effect included. Best ratios and similar quantities
are about mean scores; their intervals come from draws from the model's posterior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.analysis import query_results as results
from ratio_hpo.analysis.mixtures import Path
from ratio_hpo.analysis.recommend import recommend
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.measures import PRIMARY_SCORE
from ratio_hpo.core.trial import Params
from ratio_hpo.core.yaml import did_you_mean
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.study.advice import MIN_TRIALS
from ratio_hpo.study.snapshot import StudyView, response_of
from ratio_hpo.surrogate.features import FeatureTable

Array = NDArray[np.float64]

GRID, DRAWS, PLACES, STEPS = 41, 400, 128, 8
"""Number of grid ratios, posterior draws, points over the space, and values per parameter."""

BAND = 0.8
"""Probability of a band."""

MIXTURE = ("ratio", "shares")
"""Parameters of the mixture."""

FURTHER = 0.1
"""Increase of the ratio that is tested for a gain."""

TINY = 1e-6
"""Lowest score that can be a target, so that the cost to reach it is positive."""

Z80 = 1.2815515655446004
"""Normal quantile of an 80 % band."""


class ModelQueries:
    """Queries to the response model of a study.

    Args:
        view: The study.
        settings: Values of the parameters other than the mixture. Missing ones are those of the recommended trial.

    Raises:
        StudyError: If too few trials have ended, or the space lacks a setting.
    """

    def __init__(self, view: StudyView, settings: Params | None = None) -> None:
        self.view, self._response = view, response_of(view)
        ended = len(self._response.ended(view.records))
        best = recommend(view)
        if ended < MIN_TRIALS or best is None:
            raise StudyError(
                f"study {view.name}: the response model needs {MIN_TRIALS} ended trials, one of them COMPLETE, but "
                f"{ended} have ended; continue the search"
            )
        self._model = self._response.model(view.records)
        recommended = best.record.params
        self._path = Path(view, best.record)
        names = [key for key in view.space.parameters if key in recommended and key not in MIXTURE]
        settings = settings or {}
        unknown = [key for key in settings if key not in view.space.parameters]
        if unknown:
            raise StudyError(f"the space has no parameter {unknown[0]} ({did_you_mean(unknown[0], names)})")
        mixture = [key for key in settings if key in MIXTURE]
        if mixture:
            raise StudyError(
                f"{mixture[0]} cannot be fixed, because predictions are by ratio; set other parameters only"
            )
        view.space.check(settings)
        self.settings = {**{key: recommended[key] for key in names}, **settings}

    @property
    def names(self) -> list[str]:
        """Names of the outputs: languages or targets; empty if the objective reports only the primary score."""
        names = [name.removeprefix("score/").removesuffix("/mean") for name in self._model.observations.names]
        return [] if self._model.observations.names == (PRIMARY_SCORE,) else names

    @cached_property
    def ratios(self) -> Array:
        """Grid of ratios, from the lowest to the highest of the space."""
        return np.linspace(*self._path.reach, GRID)

    @cached_property
    def _grid(self) -> list[Params]:
        return [self.place(float(ratio)) for ratio in self.ratios]

    def place(self, ratio: float) -> Params:
        """Return the parameters at a ratio, with the other parameters at their settings."""
        return {**self.settings, **self._path.at(ratio)}

    def curve(self) -> tuple[results.RatioPrediction, ...]:
        """Return the predicted final score at each ratio with its band, also by language."""
        prediction = self._model.predict(self._ends(self._grid), measured=True)
        return tuple(
            results.RatioPrediction(
                ratio=float(ratio),
                **asdict(_band(prediction.mean[k], prediction.sd[k])),
                by_language={
                    name: _band(prediction.outputs[k, j], prediction.output_sd[k, j])
                    for j, name in enumerate(self.names)
                },
            )
            for k, ratio in enumerate(self.ratios)
        )

    def best(self, weights: Mapping[str, float] | None = None) -> dict[str, results.BestRatio]:
        """Return the best ratio for the mean, the worst language, each language, and a weighted mean of languages.

        Args:
            weights: Weights by language; None omits the weighted mean.

        Raises:
            StudyError: If a language is not scored, or the weights do not sum to a positive number.
        """
        values = {"mean": self._means, "worst": self._drawn.min(axis=2)} if self.names else {"mean": self._means}
        if weights:
            unknown = [name for name in weights if name not in self.names]
            if unknown:
                raise StudyError(f"weights: {unknown[0]} is not a scored language; use {', '.join(self.names)}")
            if sum(weights.values()) <= 0:
                raise StudyError("weights: the sum must be positive; raise one of them")
            weight_vector = np.array([weights.get(name, 0.0) for name in self.names])
            values["weighted"] = self._drawn @ (weight_vector / weight_vector.sum())
        values |= {name: self._drawn[..., k] for k, name in enumerate(self.names)}
        return {name: self._best_of(draws) for name, draws in values.items()}

    def stops_helping(self) -> float | None:
        """Return the lowest ratio from which an increase by .1 gains with a probability under one half.

        This holds at every higher ratio too, so a dip before the curve rises again does not count. None if there is no
        such ratio.
        """
        further = round(FURTHER / (self.ratios[1] - self.ratios[0]))
        if not 0 < further < GRID:
            return None
        gains = (self._means[:, further:] > self._means[:, :-further]).mean(axis=0)
        helping = np.flatnonzero(gains >= 0.5)
        first = int(helping[-1]) + 1 if len(helping) else 0
        return float(self.ratios[first]) if first < len(gains) else None

    def best_under_cost(self, most: float) -> results.BestUnderCost:
        """Return the parameters and rung with the highest predicted score at limited cost.

        Args:
            most: Highest attributed cost.

        Raises:
            StudyError: If every rung costs more.
        """
        candidates = [*self._grid, *self._spread, *(r.params for r in self._response.learned(self.view.records))]
        curves = [self._response.planned_curves.of(params) for params in candidates]
        table, costs = self._model.table_of(candidates, curves), np.concatenate([curve.costs for curve in curves])
        owner = np.repeat(np.arange(len(candidates)), [len(curve.costs) for curve in curves])
        affordable = np.flatnonzero(costs <= most)
        if not len(affordable):
            unit = self.view.about.cost_unit
            raise StudyError(f"no rung costs {most:,.0f} {unit} or less; the cheapest rung costs {costs.min():,.0f}")
        prediction = self._model.predict(table.rows(affordable), measured=True)
        best = int(prediction.mean.argmax())
        return results.BestUnderCost(
            params=candidates[owner[affordable[best]]],
            cost=float(costs[affordable[best]]),
            **asdict(_band(prediction.mean[best], prediction.sd[best])),
        )

    def speed(self) -> results.SpeedUp | None:
        """Return the speed-up of the best ratio over the reference language only, with equal settings.

        The speed-up is the cost of the reference-only curve divided by the cost at which the best ratio reaches that
        curve's final score. A draw that never reaches it counts as 0.

        Returns:
            Ratio, median and band, or None if the space has no reference-only end or that end is the best ratio.
        """
        if self._path.reach[0] > 1e-9:
            return None
        best = float(self.ratios[int(self._model.predict(self._ends(self._grid)).mean.argmax())])
        if best < 1e-9:
            return None
        endpoints = [self.place(0.0), self.place(best)]
        curves = [self._response.planned_curves.of(params) for params in endpoints]
        draws = self._model.draw(self._model.table_of(endpoints, curves), DRAWS) @ self._weights
        reference_costs, best_costs = curves[0].costs, curves[1].costs
        times = []
        for values in draws:
            curve = list(zip(best_costs.tolist(), values[len(reference_costs) :].tolist(), strict=True))
            reached = cost_to_target(curve, max(float(values[len(reference_costs) - 1]), TINY))
            times.append(float(reference_costs[-1]) / reached if 0.0 < reached < np.inf else 0.0)
        low, median, high = _quantiles(times)
        return results.SpeedUp(ratio=best, times=median, low=low, high=high)

    def importance(self) -> tuple[results.Importance, ...]:
        """Return the importance of each parameter for the final score over the space, highest first.

        Importance is the total-effect index (Homma and Saltelli 1996): the part of the variance that remains when all
        other parameters are fixed. Interactions count for each parameter in them, so the sum may exceed 1.
        """
        base = self._spread[: PLACES // STEPS]
        dimensions = list(self.view.space.parameters)
        points, first_rows = list(self._spread), {}
        for key in dimensions:
            first_rows[key] = len(points)
            values = [point.get(key) for point in self._spread[-STEPS:]]
            points += [{**point, key: value} for point in base for value in values]
        draws = self._model.draw(self._ends(points), DRAWS) @ self._weights
        total_variance = np.maximum(draws[:, :PLACES].var(axis=1), 1e-12)
        importances = []
        for key, first in first_rows.items():
            scores = draws[:, first : first + len(base) * STEPS].reshape(DRAWS, len(base), STEPS)
            part = np.minimum(scores.var(axis=2, ddof=1).mean(axis=1) / total_variance, 1.0)
            low, median, high = _quantiles(part)
            importances.append(results.Importance(parameter=key, part=median, low=low, high=high))
        return tuple(sorted(importances, key=lambda importance: -importance.part))

    def most_informative(self) -> results.InformativeTrial:
        """Return the parameters whose trial would explain the largest part of the variance of the curve by ratio."""
        candidates = [*self._grid, *self._spread]
        draws = self._model.draw(self._ends(candidates), DRAWS) @ self._weights
        centred = draws - draws.mean(axis=0)
        covariance = centred[:, :GRID].T @ centred / DRAWS
        variances = (centred**2).mean(axis=0)
        prediction = self._model.predict(self._ends(candidates), measured=True)
        explained = (covariance**2 / np.maximum(prediction.sd**2, 1e-12)).sum(axis=0) / np.maximum(
            variances[:GRID].sum(), 1e-12
        )
        best = int(explained.argmax())
        return results.InformativeTrial(params=candidates[best], part=float(min(explained[best], 1.0)))

    def all(self, weights: Mapping[str, float] | None = None, max_cost: float | None = None) -> results.ModelAnswers:
        """Return the results of all queries."""
        return results.ModelAnswers(
            study=self.view.name,
            measure=self.view.about.measure,
            cost_unit=self.view.about.cost_unit,
            settings=self.settings,
            along=self._path.words,
            best=self.best(weights),
            stops_helping=self.stops_helping(),
            best_under_cost=None if max_cost is None else self.best_under_cost(max_cost),
            speed=self.speed(),
            importance=self.importance(),
            most_informative=self.most_informative(),
            curve=self.curve(),
        )

    @property
    def _weights(self) -> Array:
        return self._model.observations.weights

    @cached_property
    def _drawn(self) -> Array:
        """Posterior draws of the final scores on the grid, by output [draws, grid, outputs]."""
        return self._model.draw(self._ends(self._grid), DRAWS)

    @cached_property
    def _means(self) -> Array:
        return self._drawn @ self._weights

    def _best_of(self, draws: Array) -> results.BestRatio:
        """Return the ratio with the highest mean over draws, the band of the draws' best ratios, and its score."""
        k = int(draws.mean(axis=0).argmax())
        low, _, high = _quantiles(self.ratios[draws.argmax(axis=1)])
        return results.BestRatio(ratio=float(self.ratios[k]), low=low, high=high, score=float(draws[:, k].mean()))

    def _ends(self, points: Sequence[Params]) -> FeatureTable:
        return self._response.ends(points)

    @cached_property
    def _spread(self) -> list[Params]:
        """Points spread over the whole space."""
        space, rng = self.view.space, np.random.default_rng(0)
        return [space.decode({name: float(rng.random()) for name in space.coordinates()}) for _ in range(PLACES)]


def _band(mean: float, sd: float) -> results.Band:
    return results.Band(mean=float(mean), low=float(max(mean - Z80 * sd, 0.0)), high=float(min(mean + Z80 * sd, 1.0)))


def _quantiles(draws: Array | Sequence[float]) -> tuple[float, float, float]:
    """Return the lower end of the band of draws, their median, and the upper end."""
    low, median, high = np.quantile(draws, [(1 - BAND) / 2, 0.5, (1 + BAND) / 2])
    return float(low), float(median), float(high)
