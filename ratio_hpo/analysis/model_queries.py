"""Questions to the response model of a study, answered with how sure it is.

Bands hold four of five of what one more run would score there, its luck included. Of best ratios and the like, which
are about what runs score on average, draws from the model's posterior say how sure it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.analysis.mixtures import Path
from ratio_hpo.analysis.recommend import recommend
from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.scores import PRIMARY_SCORE
from ratio_hpo.core.trial import Params
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.study.advice import MIN_TRIALS
from ratio_hpo.study.response import response_of
from ratio_hpo.study.view import StudyView
from ratio_hpo.surrogate.features import FeatureTable

Array = NDArray[np.float64]

GRID, DRAWS, PLACES, STEPS = 41, 400, 128, 8
"""Ratios, draws from the posterior, places that are looked at, and values of a parameter."""

BAND = 0.8
"""Part of what is to be expected that lies within a band."""

FURTHER = 0.1
"""More of the ratio, of which is asked whether it still helps."""

TINY = 1e-6

Z80 = 1.2815515655446004


class ModelQueries:
    """What the model says of a study.

    Args:
        settings: values of other parameters than the mixture; None: those of the recommended trial.

    Raises:
        StudyError: too few trials have ended, or a setting that the space lacks.
    """

    def __init__(self, view: StudyView, settings: Mapping[str, Any] | None = None) -> None:
        self.view, self._response = view, response_of(view)
        ended = len(self._response.ended(view.records))
        best = recommend(view)
        if ended < MIN_TRIALS or best is None:
            raise StudyError(
                f"study {view.name}: the response model needs {MIN_TRIALS} ended trials, one of them COMPLETE, but "
                f"{ended} have ended; go on with the search"
            )
        self._model = self._response.model(view.records)
        self._recommended = best.record.params
        self._path = Path(view, best.record)
        rest = {key: self._recommended[key] for key in view.space.parameters if key in self._recommended}
        rest = {key: value for key, value in rest.items() if key not in ("ratio", "shares")}
        unknown = [key for key in settings or {} if key not in view.space.parameters]
        if unknown:
            raise StudyError(f"{unknown[0]} is no parameter of the space ({did_you_mean(unknown[0], list(rest))})")
        mixture = [key for key in settings or {} if key in ("ratio", "shares")]
        if mixture:
            raise StudyError(f"{mixture[0]} is what is asked about; give other parameters alone")
        view.space.check(dict(settings or {}))
        self.settings = {**rest, **(settings or {})}

    @property
    def names(self) -> list[str]:
        """Of the outputs: languages or targets; none where an objective yields the primary score alone."""
        names = [name.removeprefix("score/").removesuffix("/mean") for name in self._model.observations.names]
        return [] if self._model.observations.names == (PRIMARY_SCORE,) else names

    @cached_property
    def ratios(self) -> Array:
        """From the least to the most that the space has."""
        return np.linspace(*self._path.reach, GRID)

    @cached_property
    def _grid(self) -> list[Params]:
        return [self.place(float(ratio)) for ratio in self.ratios]

    def place(self, ratio: float) -> Params:
        """The parameters at a ratio, under the settings."""
        return {**self.settings, **self._path.at(ratio)}

    def curve(self) -> list[dict[str, Any]]:
        """Expected last score by ratio, with its band, and by language."""
        told = self._model.predict(self._ends(self._grid), measured=True)
        return [
            {
                "ratio": float(ratio),
                **_band(told.mean[k], told.sd[k]),
                "by_language": {
                    name: _band(told.outputs[k, j], told.output_sd[k, j]) for j, name in enumerate(self.names)
                },
            }
            for k, ratio in enumerate(self.ratios)
        ]

    def best(self, weights: Mapping[str, float] | None = None) -> dict[str, dict[str, float]]:
        """The best ratio for the mean, for the worst language, for each language, and for weights over languages.

        Raises:
            StudyError: weights of a language that is not scored.
        """
        values = {"mean": self._means, "worst": self._drawn.min(axis=2)} if self.names else {"mean": self._means}
        if weights:
            unknown = [name for name in weights if name not in self.names]
            if unknown or sum(weights.values()) <= 0:
                raise StudyError(f"weights: {unknown[0] if unknown else 'they'} cannot be; known: {self.names}")
            each = np.array([weights.get(name, 0.0) for name in self.names])
            values["weighted"] = self._drawn @ (each / each.sum())
        values |= {name: self._drawn[..., k] for k, name in enumerate(self.names)}
        return {name: self._best_of(drawn) for name, drawn in values.items()}

    def stops_helping(self) -> float | None:
        """The least ratio from which on no further .1 gains with a probability of one half; None: there is none.

        A dip before the curve rises again is none: what counts is that nothing beyond it gains.
        """
        further = round(FURTHER / (self.ratios[1] - self.ratios[0]))
        if not 0 < further < GRID:
            return None
        gains = (self._means[:, further:] > self._means[:, :-further]).mean(axis=0)
        helping = np.flatnonzero(gains >= 0.5)
        first = int(helping[-1]) + 1 if len(helping) else 0
        return float(self.ratios[first]) if first < len(gains) else None

    def best_under_cost(self, most: float) -> dict[str, Any]:
        """The best that the model knows at a cost of at most so much: which parameters, stopped where.

        Raises:
            StudyError: nothing is that cheap.
        """
        places = [*self._grid, *self._around(), *(r.params for r in self._response.learned(self.view.records))]
        courses = [self._response.courses.of(params) for params in places]
        table, costs = self._model.table_of(places, courses), np.concatenate([course.costs for course in courses])
        owner = np.repeat(np.arange(len(places)), [len(course.costs) for course in courses])
        fitting = np.flatnonzero(costs <= most)
        if not len(fitting):
            unit = self.view.about.cost_unit
            raise StudyError(f"nothing costs {most:,.0f} {unit} or less; the cheapest rung costs {costs.min():,.0f}")
        told = self._model.predict(table.rows(fitting), measured=True)
        k = int(told.mean.argmax())
        params = places[owner[fitting[k]]]
        return {"params": params, "cost": float(costs[fitting[k]]), **_band(told.mean[k], told.sd[k])}

    def speed(self) -> dict[str, Any] | None:
        """How many times less training than English alone the best ratio takes to English's own last score.

        Under equal settings. None: the space has no English-only end, or that is the best ratio itself. A draw that
        never gets there counts as 0.
        """
        if self._path.reach[0] > 1e-9:
            return None
        best = float(self.ratios[int(self._model.predict(self._ends(self._grid)).mean.argmax())])
        if best < 1e-9:
            return None
        places = [self.place(0.0), self.place(best)]
        courses = [self._response.courses.of(params) for params in places]
        drawn = self._model.draw(self._model.table_of(places, courses), DRAWS) @ self._weights
        english, ours = courses[0].costs, courses[1].costs
        times = []
        for values in drawn:
            curve = list(zip(ours.tolist(), values[len(english) :].tolist(), strict=True))
            reached = cost_to_target(curve, max(float(values[len(english) - 1]), TINY))
            times.append(float(english[-1]) / reached if 0.0 < reached < np.inf else 0.0)
        low, middle, high = np.quantile(times, [(1 - BAND) / 2, 0.5, (1 + BAND) / 2])
        return {"ratio": best, "times": float(middle), "low": float(low), "high": float(high)}

    def importance(self) -> list[dict[str, Any]]:
        """How much of the spread of last scores over the space each parameter makes, the most first.

        The total-effect index (Homma and Saltelli 1996): the part of the variance that is left when all other
        parameters are held; parts overlap where parameters interact, so that they may come to more than 1.
        """
        base = self._around()[: PLACES // STEPS]
        dimensions = list(self.view.space.parameters)
        places, where = list(self._around()), {}
        for key in dimensions:
            where[key] = len(places)
            values = [place.get(key) for place in self._around()[-STEPS:]]
            places += [{**place, key: value} for place in base for value in values]
        drawn = self._model.draw(self._ends(places), DRAWS) @ self._weights
        whole = np.maximum(drawn[:, :PLACES].var(axis=1), 1e-12)
        found = []
        for key, begin in where.items():
            block = drawn[:, begin : begin + len(base) * STEPS].reshape(DRAWS, len(base), STEPS)
            part = np.minimum(block.var(axis=2, ddof=1).mean(axis=1) / whole, 1.0)
            low, middle, high = np.quantile(part, [(1 - BAND) / 2, 0.5, (1 + BAND) / 2])
            found.append({"parameter": key, "part": float(middle), "low": float(low), "high": float(high)})
        return sorted(found, key=lambda entry: -entry["part"])

    def most_informative(self) -> dict[str, Any]:
        """Where one more trial would take most from the doubt about the curve by ratio: the part of its variance."""
        places = [*self._grid, *self._around()]
        drawn = self._model.draw(self._ends(places), DRAWS) @ self._weights
        centred = drawn - drawn.mean(axis=0)
        covariance = centred[:, :GRID].T @ centred / DRAWS
        own = (centred**2).mean(axis=0)
        told = self._model.predict(self._ends(places), measured=True)
        explained = (covariance**2 / np.maximum(told.sd**2, 1e-12)).sum(axis=0) / np.maximum(own[:GRID].sum(), 1e-12)
        k = int(explained.argmax())
        return {"params": places[k], "part": float(min(explained[k], 1.0))}

    def all(self, weights: Mapping[str, float] | None = None, max_cost: float | None = None) -> dict[str, Any]:
        """Every answer, as `ratio-hpo ask --json` gives it."""
        return {
            "schema": SCHEMA,
            "study": self.view.name,
            "measure": self.view.about.measure,
            "cost_unit": self.view.about.cost_unit,
            "settings": self.settings,
            "along": self._path.words,
            "best": self.best(weights),
            "stops_helping": self.stops_helping(),
            "best_under_cost": None if max_cost is None else self.best_under_cost(max_cost),
            "speed": self.speed(),
            "importance": self.importance(),
            "most_informative": self.most_informative(),
            "curve": self.curve(),
        }

    @property
    def _weights(self) -> Array:
        return self._model.observations.weights

    @cached_property
    def _drawn(self) -> Array:
        """Draws at the ends of the grid, by output [draws, grid, m]."""
        return self._model.draw(self._ends(self._grid), DRAWS)

    @cached_property
    def _means(self) -> Array:
        return self._drawn @ self._weights

    def _best_of(self, drawn: Array) -> dict[str, float]:
        """The ratio with the highest mean over draws, where draws have theirs, and the score there."""
        k = int(drawn.mean(axis=0).argmax())
        low, high = np.quantile(self.ratios[drawn.argmax(axis=1)], [(1 - BAND) / 2, (1 + BAND) / 2])
        return {
            "ratio": float(self.ratios[k]),
            "low": float(low),
            "high": float(high),
            "score": float(drawn[:, k].mean()),
        }

    def _ends(self, places: Sequence[Params]) -> FeatureTable:
        return self._response.ends(places)

    @cached_property
    def _spread(self) -> list[Params]:
        space, rng = self.view.space, np.random.default_rng(0)
        return [space.decode({name: float(rng.random()) for name in space.coordinates()}) for _ in range(PLACES)]

    def _around(self) -> list[Params]:
        """Places all over the space."""
        return self._spread


def _band(mean: float, sd: float) -> dict[str, float]:
    return {"mean": float(mean), "low": float(max(mean - Z80 * sd, 0.0)), "high": float(min(mean + Z80 * sd, 1.0))}
