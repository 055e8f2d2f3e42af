"""A study as the response model sees it: what is expected of its trials, and of trials that it may run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.scores import ERROR
from ratio_hpo.core.trial import NO_INTERMEDIATE_PARAM, Params, TrialRecord
from ratio_hpo.study.front_probability import FrontCandidate, ImprovementChance
from ratio_hpo.study.planned_curve import PlannedCurve
from ratio_hpo.surrogate.features import FeatureTable, Point
from ratio_hpo.surrogate.observations import drawn_by

if TYPE_CHECKING:
    from ratio_hpo.study.response import Evidence, Response
    from ratio_hpo.surrogate.acquisition import Curves, FrontGain
    from ratio_hpo.surrogate.model import Posterior, ResponseModel

Array = NDArray[np.float64]

TRIAL_COST = 0.25
"""What a trial costs beside its training, as a part of the largest cost: its evaluations, its start, its place among
the trials that were asked for. Without it a search runs after tiny gains that cost next to nothing."""


FRONT_DRAWS = 400
"""Of all scores at once, from which the probabilities of the front are told."""

LOOKED_AT = 6
"""Points of a course at which a place that may be tried is looked at."""


class _Unmodelled(NamedTuple):
    """Points that the model says nothing of, each [n]."""

    trials: Array
    costs: Array
    means: Array
    sds: Array


class StudyModel:
    """A model of a study as it stands.

    Args:
        records: of all trials so far.
    """

    def __init__(self, response: Response, records: Sequence[TrialRecord]) -> None:
        self._response, self._records = response, list(records)
        self._features, self._fit = response.features, response.fitted(records)
        self.observations = response.observations(records)
        self._runs, self._places = response.runs(self.observations), self._features.table(self.observations.points)
        self._evidence = self._with_diverged(response.evidence(self.observations, self._places))
        self._model = self._make(self._evidence)
        self.posterior = self._model.quick(self._places)

    @cached_property
    def _last(self) -> dict[int, int]:
        """The last point of each trial, by its number."""
        return {trial: k for k, trial in enumerate(self.observations.trials.tolist())}

    def finals(self) -> dict[int, tuple[float, float]]:
        """Mean and standard deviation of the primary score at the last point of each trial, by its number."""
        told = self.posterior
        return {trial: (float(told.mean[k]), float(told.sd[k])) for trial, k in self._last.items()}

    def standings(self) -> list[FrontCandidate]:
        """How each point stands to the front."""
        rng, auxiliary = np.random.default_rng(0), self._unmodelled
        drawn = self._model.draws(self._places, FRONT_DRAWS, rng)
        drawn = np.hstack(
            [drawn, auxiliary.means + auxiliary.sds * rng.standard_normal((FRONT_DRAWS, len(auxiliary.means)))]
        )
        trials = np.concatenate([self.observations.trials, auxiliary.trials])
        every = np.concatenate([self.observations.costs, auxiliary.costs])
        means = np.concatenate([self.posterior.mean, auxiliary.means])
        sds = np.concatenate([self.posterior.sd, auxiliary.sds])
        order = np.lexsort((np.arange(len(every)), every))
        values, costs = drawn[:, order], every[order]
        best = np.maximum.accumulate(values, axis=1)
        before = np.searchsorted(costs, costs, side="right") - 1  # the best of all at most so expensive
        found = np.empty(len(every))
        found[order] = (values >= best[:, before]).mean(0)
        rows = (trials.astype(int).tolist(), every.tolist(), means.tolist(), sds.tolist(), found.tolist())
        return [FrontCandidate(*row) for row in zip(*rows, strict=True)]

    def leading(self, number: int) -> list[Params]:
        """Parameters of the trials with the best expected last scores, and of as many on the expected front."""
        best = sorted(self._last, key=lambda trial: -self.posterior.mean[self._last[trial]])[:number]
        reached = self._gain.at(self.observations.costs)
        on_front = self.observations.trials[self.posterior.mean >= reached - 1e-12].tolist()
        return [self._records[trial].params for trial in dict.fromkeys([*best, *on_front[:number]])]

    def table_of(self, places: Sequence[Params], courses: Sequence[PlannedCurve]) -> FeatureTable:
        """Columns of courses, one after another, of no run in particular."""
        points = [Point(params=params, windows={}) for params in places]
        return self._features.along(points, [course.windows for course in courses])

    def predict(self, table: FeatureTable, *, measured: bool = False) -> Posterior:
        """What is expected at places: on average over runs, or of one more run with its luck."""
        return self._model.predict(table, measured=measured)

    def draw(self, table: FeatureTable, number: int) -> Array:
        """What runs may score on average at all places at once, by output [number, n, m]; the same at every call."""
        return self._model.draw_outputs(table, number, np.random.default_rng(0))

    def tendency(self, table: FeatureTable) -> Array:
        """How far above the common curve the primary score is expected at places, in standard deviations [n]."""
        return self._model.tendency(table)

    @property
    def tried(self) -> list[Params]:
        """Parameters of all trials that have a place in the space."""
        return [record.params for record in self._response.learned(self._records)]

    def was_tried(self, params: Params) -> bool:
        """Whether a trial with these parameters is there."""
        return repr(sorted(params.items())) in self._tried

    def gain_per_cost(self, places: Sequence[Params], *, reuses: bool) -> Array:
        """Expected area that trials add to the front, by what is left to pay for them [n]."""
        if not places:
            return np.zeros(0)
        courses = [self._response.courses.of(params) for params in places]
        paid = np.array([course.costs[-1] for course in courses])
        if reuses and self._response.courses.are_planned and not self._response.looks_ahead:
            paid = paid - [self._stored(params, course) for params, course in zip(places, courses, strict=True)]
        gains = self._gain.expected(self._curves(places, [course.thinned(LOOKED_AT) for course in courses]))
        return gains / (paid + TRIAL_COST * self._response.courses.largest_cost)

    def chances(self, places: Sequence[Params]) -> Array:
        """Probability that a point of a trial joins the front which no earlier one of them has passed through [n]."""
        found, passed = np.zeros(len(places)), set[bytes]()
        for k, params in enumerate(places):
            course = self._response.courses.of(params)
            new = np.array([row.tobytes() not in passed for row in course.windows])
            passed |= {row.tobytes() for row in course.windows}
            if new.any():
                left = PlannedCurve(course.windows[new], course.costs[new]).thinned(LOOKED_AT)
                found[k] = float(self._gain.joins(self._curves([params], [left]))[0])
        return found

    def improvement_chance(self, number: int) -> ImprovementChance:
        """What is left to hope for from a trial that runs."""
        record = self._records[number]
        left = self._left(record)
        if not len(left.costs):
            return ImprovementChance(1.0, None)
        others, front = self._rivals(number)
        chance = float(front.joins(self._course_of(record, left))[0])
        ahead = others & (self.observations.costs <= left.costs[-1])
        rival = int(self.observations.trials[ahead][self.posterior.mean[ahead].argmax()]) if ahead.any() else None
        return ImprovementChance(chance, rival)

    def _rivals(self, number: int) -> tuple[NDArray[np.bool_], FrontGain]:
        """Which points are of other trials, and their front."""
        others = self.observations.trials != number
        return others, self._front(self.observations.costs[others], self.posterior.mean[others])

    def _course_of(self, record: TrialRecord, course: PlannedCurve) -> Curves:
        """What is expected of a part of a trial, with the luck of its run."""
        from ratio_hpo.surrogate.acquisition import stacked

        places = self._features.along([drawn_by(record, {})], [course.windows])
        runs = self._response.first_trials(self._runs, self.observations)
        run = runs.get(self._response.run_of(record.params), record.number)
        told = self._model.predict(places.of_runs(np.full(len(places), run, dtype=np.intp)))
        return stacked(course.costs, told, [len(course.costs)])

    def _with_diverged(self, found: Evidence) -> Evidence:
        """Points, and the ends of trials that diverged, which are taken to be as bad as the worst that was seen."""
        diverged = [record for record in self._response.learned(self._records) if record.diverged]
        if not diverged:
            return found
        more = self._response.ends([record.params for record in diverged])
        return found.and_then(more, np.repeat(found.scores.min(0)[None], len(diverged), axis=0))

    @cached_property
    def _unmodelled(self) -> _Unmodelled:
        """Points of the base without intermediate training: without a mixture, they are taken as they were measured."""
        found = [
            (record.number, point.cost, point.primary_score, point.scores.get(ERROR, 0.0))
            for record in self._records
            if NO_INTERMEDIATE_PARAM in record.params
            for point in record.scored
        ]
        return _Unmodelled(*np.array(found, dtype=float).reshape(-1, 4).T)

    @cached_property
    def _tried(self) -> set[str]:
        return {repr(sorted(record.params.items())) for record in self._records}

    @cached_property
    def _running(self) -> list[tuple[TrialRecord, PlannedCurve]]:
        """Trials that run, with what is left of their courses."""
        open_ones = [r for r in self._response.learned(self._records) if not (r.state.finished or r.done)]
        left = [(record, self._left(record)) for record in open_ones]
        return [(record, course) for record, course in left if len(course.costs)]

    @cached_property
    def _ahead(self) -> tuple[ResponseModel, FrontGain]:
        """The model and the front as they are expected once all running trials have ended."""
        if not self._running:
            return self._model, self._front(self.observations.costs, self.posterior.mean)
        places = [drawn_by(record, {}) for record, _ in self._running]
        table = self._features.along(places, [course.windows for _, course in self._running])
        told = self._model.quick(table)
        costs = np.concatenate([course.costs for _, course in self._running])
        model = self._make(self._evidence.and_then(table, told.outputs))
        means = np.concatenate([self.posterior.mean, told.mean])
        return model, self._front(np.concatenate([self.observations.costs, costs]), means)

    @property
    def _gain(self) -> FrontGain:
        return self._ahead[1]

    def _front(self, costs: Array, means: Array) -> FrontGain:
        from ratio_hpo.surrogate.acquisition import FrontGain

        auxiliary = self._unmodelled
        costs, means = np.concatenate([costs, auxiliary.costs]), np.concatenate([means, auxiliary.means])
        return FrontGain(costs, means, self._response.courses.largest_cost)

    def _make(self, found: Evidence) -> ResponseModel:
        from ratio_hpo.surrogate.model import ResponseModel

        stages = len(self._response.courses.rungs)
        priors = self._response.priors
        return ResponseModel(
            self._features.blocks, stages, found.table, found.scores, self.observations.weights, self._fit, priors
        )

    def _curves(self, places: Sequence[Params], courses: Sequence[PlannedCurve]) -> Curves:
        from ratio_hpo.surrogate.acquisition import stacked

        points = [Point(params=params, windows={}) for params in places]
        told = self._ahead[0].quick(self._features.along(points, [course.windows for course in courses]))
        costs = np.concatenate([course.costs for course in courses])
        return stacked(costs, told, [len(course.costs) for course in courses])

    def _left(self, record: TrialRecord) -> PlannedCurve:
        """What is left of the course of a trial."""
        return self._response.courses.of(record.params).after(record.curve[-1].cost if record.curve else 0.0)

    def _stored(self, params: Params, course: PlannedCurve) -> float:
        """Cost of the part of the first stage that earlier trials went through."""
        reached = self._went.get(self._response.run_of(params), 0.0)
        in_first = (course.windows[:, 0] <= reached) & (course.windows[:, 1:].sum(1) == 0)
        return float(course.costs[in_first].max(initial=0.0))

    @cached_property
    def _went(self) -> dict[str, float]:
        """Windows of the first stage that were trained of each mixture and what goes with it."""
        first = next(iter(self._response.courses.rungs), "")
        went: dict[str, float] = {}
        for key, point in zip(self._runs, self.observations.points, strict=True):
            went[key] = max(went.get(key, 0.0), point.windows.get(first, 0.0))
        return went
