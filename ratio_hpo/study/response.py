"""The response model of a study: fitted on what it has seen, asked about trials that it may run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.space import Space, Steps
from ratio_hpo.study.course import Course, Courses

if TYPE_CHECKING:
    from ratio_hpo.surrogate import Features, Fitted, ResponseModel, Table
    from ratio_hpo.surrogate.gain import Curves, FrontGain
    from ratio_hpo.surrogate.seen import Seen

Array = NDArray[np.float64]

FIRST_FIT, GROWTH = 8, 1.5
"""Trials at which hyperparameters are fitted: 8, 12, 18, 27, …"""

TRIAL_COST = 0.25
"""What a trial costs beside its training, as a part of the largest cost: its evaluations, its start, its place among
the trials that were asked for. Without it a search runs after tiny gains that cost next to nothing."""


LOOKED_AT = 6
"""Points of a course at which a place that may be tried is looked at."""


@dataclass(frozen=True, slots=True)
class Hope:
    """What is left to hope for from a trial.

    Attributes:
        chance: probability that any later point of its curve joins the front of the others.
        rival: the trial with the best expected score at a cost within what is left; None: there is none.
    """

    chance: float
    rival: int | None


class Response:
    """Makes models of a study, the same whenever it has seen the same.

    Args:
        courses: the rungs that trials pass.
        targets: weight of each target in the headline.
        looks_ahead: whether a schedule depends on the steps that are still to come.
        split: whose scores: samplers and fronts read `select`, pruners `prune`.
    """

    space: Space

    def __init__(
        self,
        space: Space,
        courses: Courses,
        targets: Mapping[str, float] | None = None,
        *,
        looks_ahead: bool = False,
        split: str = "select",
    ) -> None:
        self.space, self.courses, self._targets = space, courses, dict(targets or {})
        self.looks_ahead, self._split = looks_ahead, split
        self._steps = [name for name, domain in space.parameters.items() if isinstance(domain, Steps)]
        self._fitted: dict[int, Fitted] = {}
        self._made: tuple[Any, StudyModel] | None = None

    @cached_property
    def features(self) -> Features:
        """Columns of the model."""
        from ratio_hpo.surrogate import Features

        stages = {stage: float(grid[0]) if grid else 1.0 for stage, grid in self.courses.rungs.items()}
        return Features(self.space, stages, looks_ahead=self.looks_ahead)

    def learned(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The trials that have a place in the space."""
        from ratio_hpo.surrogate.seen import learned_from

        return learned_from(records)

    def ended(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Those of them that have ended, or did all their work, with a score."""
        return [r for r in self.learned(records) if r.scored and (r.state.finished or r.done)]

    def seen(self, records: Sequence[TrialRecord]) -> Seen:
        """Points of every curve."""
        from ratio_hpo.surrogate.seen import seen

        return seen(records, self._targets, self._split)

    def run_of(self, params: Params) -> str:
        """What trials that differ in their steps alone have in common: they are one run, stopped at other places."""
        return repr(sorted((name, value) for name, value in params.items() if name not in self._steps))

    def runs(self, known: Seen) -> dict[str, int]:
        """The first trial of each run."""
        first: dict[str, int] = {}
        for point, trial in zip(known.points, known.trials.tolist(), strict=True):
            first.setdefault(self.run_of(point.params), trial)
        return first

    def evidence(self, known: Seen) -> tuple[Table, Array]:
        """Points and their scores, each once: trials of one run pass through the same ones, which says nothing new."""
        runs = self.runs(known)
        table = self.features.table(known.points)
        table = table.of_runs(np.array([runs[self.run_of(point.params)] for point in known.points], dtype=np.intp))
        rows = zip(table.runs.tolist(), table.others, known.scores, strict=True)
        places = [(run, other.tobytes(), score.tobytes()) for run, other, score in rows]
        once = np.array(sorted({place: k for k, place in reversed(list(enumerate(places)))}.values()), dtype=np.intp)
        return table.rows(once), known.scores[once]

    def ends(self, params: Sequence[Params]) -> Table:
        """Where trials with these parameters end."""
        from ratio_hpo.surrogate import Point

        places = [Point(params=each, windows={}) for each in params]
        return self.features.along(places, [self.courses.of(each).windows[-1:] for each in params])

    def model(self, records: Sequence[TrialRecord]) -> StudyModel:
        """The model of what is known; running trials are taken to come out as it expects."""
        state = tuple((record.number, record.state, len(record.curve), record.done) for record in records)
        if self._made is None or self._made[0] != state:
            self.courses.learn(records)
            self._made = (state, StudyModel(self, records))
        return self._made[1]

    def fitted(self, records: Sequence[TrialRecord]) -> Fitted:
        """Hyperparameters as of the last number of ended trials at which they are fitted."""
        ended = self.ended(records)
        count = min(len(ended), FIRST_FIT)
        while count >= FIRST_FIT and round(count * GROWTH) <= len(ended):
            count = round(count * GROWTH)
        if count not in self._fitted:
            from ratio_hpo.surrogate import ResponseModel

            known = self.seen(ended[:count])
            table, scores = self.evidence(known)
            model = ResponseModel(self.features.blocks, len(self.courses.rungs), table, scores, known.weights)
            self._fitted[count] = model.fitted
        return self._fitted[count]


class StudyModel:
    """A model of a study as it stands.

    Args:
        records: of all trials so far.
    """

    def __init__(self, response: Response, records: Sequence[TrialRecord]) -> None:
        self._response, self._records = response, list(records)
        self._features, self._fit = response.features, response.fitted(records)
        self.seen = response.seen(records)
        self._runs = response.runs(self.seen)
        self._table, self._scores = self._with_diverged(*response.evidence(self.seen))
        self._model = self._make(self._table, self._scores)
        self.posterior = self._model.quick(self._features.table(self.seen.points))

    @cached_property
    def _last(self) -> dict[int, int]:
        """The last point of each trial, by its number."""
        return {trial: k for k, trial in enumerate(self.seen.trials.tolist())}

    def finals(self) -> dict[int, tuple[float, float]]:
        """Mean and standard deviation of the headline at the last point of each trial, by its number."""
        told = self.posterior
        return {trial: (float(told.mean[k]), float(told.sd[k])) for trial, k in self._last.items()}

    def leading(self, number: int) -> list[Params]:
        """Parameters of the trials with the best expected last scores, and of as many on the expected front."""
        best = sorted(self._last, key=lambda trial: -self.posterior.mean[self._last[trial]])[:number]
        reached = self._gain.at(self.seen.costs)
        on_front = self.seen.trials[self.posterior.mean >= reached - 1e-12].tolist()
        return [self._records[trial].params for trial in dict.fromkeys([*best, *on_front[:number]])]

    def was_tried(self, params: Params) -> bool:
        """Whether a trial with these parameters is there."""
        return repr(sorted(params.items())) in self._tried

    def worth(self, places: Sequence[Params], *, reuses: bool) -> Array:
        """Expected area that trials add to the front, by what is left to pay for them [n]."""
        if not places:
            return np.zeros(0)
        courses = [self._response.courses.of(params) for params in places]
        paid = np.array([course.costs[-1] for course in courses])
        if reuses and self._response.courses.are_planned and not self._response.looks_ahead:
            paid = paid - [self._stored(params, course) for params, course in zip(places, courses, strict=True)]
        gains = self._gain.expected(self._curves(places, [course.thinned(LOOKED_AT) for course in courses]))
        return gains / (paid + TRIAL_COST * self._response.courses.largest_cost)

    def hope(self, number: int) -> Hope:
        """What is left to hope for from a trial that runs."""
        from ratio_hpo.surrogate.gain import stacked
        from ratio_hpo.surrogate.seen import drawn_by

        record = self._records[number]
        left = self._left(record)
        if not len(left.costs):
            return Hope(1.0, None)
        others = self.seen.trials != number
        front = self._front(self.seen.costs[others], self.posterior.mean[others])
        places = self._features.along([drawn_by(record, {})], [left.windows])
        run = self._runs.get(self._response.run_of(record.params), number)
        told = self._model.predict(places.of_runs(np.full(len(places), run, dtype=np.intp)))
        chance = float(front.joins(stacked(left.costs, told, [len(left.costs)]))[0])
        ahead = others & (self.seen.costs <= left.costs[-1])
        rival = int(self.seen.trials[ahead][self.posterior.mean[ahead].argmax()]) if ahead.any() else None
        return Hope(chance, rival)

    def _of_runs(self) -> Table:
        return self._features.table(self.seen.points).of_runs(self.seen.trials)

    def _with_diverged(self, table: Table, scores: Array) -> tuple[Table, Array]:
        """Points, and the ends of trials that diverged, which are taken to be as bad as the worst that was seen."""
        diverged = [record for record in self._response.learned(self._records) if record.diverged]
        if not diverged:
            return table, scores
        more = self._response.ends([record.params for record in diverged])
        return table.with_rows(more), np.concatenate([scores, np.repeat(scores.min(0)[None], len(diverged), axis=0)])

    @cached_property
    def _tried(self) -> set[str]:
        return {repr(sorted(record.params.items())) for record in self._records}

    @cached_property
    def _running(self) -> list[tuple[TrialRecord, Course]]:
        """Trials that run, with what is left of their courses."""
        open_ones = [r for r in self._response.learned(self._records) if not (r.state.finished or r.done)]
        left = [(record, self._left(record)) for record in open_ones]
        return [(record, course) for record, course in left if len(course.costs)]

    @cached_property
    def _ahead(self) -> tuple[ResponseModel, FrontGain]:
        """The model and the front as they are expected once all running trials have ended."""
        from ratio_hpo.surrogate.seen import drawn_by

        if not self._running:
            return self._model, self._front(self.seen.costs, self.posterior.mean)
        places = [drawn_by(record, {}) for record, _ in self._running]
        table = self._features.along(places, [course.windows for _, course in self._running])
        told = self._model.quick(table)
        costs = np.concatenate([course.costs for _, course in self._running])
        model = self._make(self._table.with_rows(table), np.concatenate([self._scores, told.outputs]))
        means = np.concatenate([self.posterior.mean, told.mean])
        return model, self._front(np.concatenate([self.seen.costs, costs]), means)

    @property
    def _gain(self) -> FrontGain:
        return self._ahead[1]

    def _front(self, costs: Array, means: Array) -> FrontGain:
        from ratio_hpo.surrogate.gain import FrontGain

        return FrontGain(costs, means, self._response.courses.largest_cost)

    def _make(self, table: Table, scores: Array) -> ResponseModel:
        from ratio_hpo.surrogate import ResponseModel

        stages = len(self._response.courses.rungs)
        return ResponseModel(self._features.blocks, stages, table, scores, self.seen.weights, self._fit)

    def _curves(self, places: Sequence[Params], courses: Sequence[Course]) -> Curves:
        from ratio_hpo.surrogate import Point
        from ratio_hpo.surrogate.gain import stacked

        points = [Point(params=params, windows={}) for params in places]
        told = self._ahead[0].quick(self._features.along(points, [course.windows for course in courses]))
        costs = np.concatenate([course.costs for course in courses])
        return stacked(costs, told, [len(course.costs) for course in courses])

    def _left(self, record: TrialRecord) -> Course:
        """What is left of the course of a trial."""
        return self._response.courses.of(record.params).after(record.curve[-1].cost if record.curve else 0.0)

    def _stored(self, params: Params, course: Course) -> float:
        """Cost of the part of the first stage that earlier trials went through."""
        reached = self._went.get(self._response.run_of(params), 0.0)
        in_first = (course.windows[:, 0] <= reached) & (course.windows[:, 1:].sum(1) == 0)
        return float(course.costs[in_first].max(initial=0.0))

    @cached_property
    def _went(self) -> dict[str, float]:
        """Windows of the first stage that were trained of each mixture and what goes with it."""
        first = next(iter(self._response.courses.rungs), "")
        went: dict[str, float] = {}
        for point in self.seen.points:
            key = self._response.run_of(point.params)
            went[key] = max(went.get(key, 0.0), point.windows.get(first, 0.0))
        return went
