"""The response model of a study: fitted on what it has seen, asked about trials that it may run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.trial import Params, Progress, TrialRecord
from ratio_hpo.space import Space, Steps
from ratio_hpo.study.planned_curve import PlannedCurves
from ratio_hpo.study.study_model import StudyModel
from ratio_hpo.surrogate.features import Features, FeatureTable, Point
from ratio_hpo.surrogate.mean_function import MeanFunction
from ratio_hpo.surrogate.observations import Observations, learned_from, observations

if TYPE_CHECKING:
    from ratio_hpo.study.view import StudyView
    from ratio_hpo.surrogate.model import Fitted

Array = NDArray[np.float64]

FIRST_FIT, GROWTH = 8, 1.5
"""Trials at which hyperparameters are fitted: 8, 12, 18, 27, …"""


class Evidence(NamedTuple):
    """Points as columns, with their scores [n, m]."""

    table: FeatureTable
    scores: Array

    def and_then(self, table: FeatureTable, scores: Array) -> Evidence:
        """With more points."""
        return Evidence(self.table.with_rows(table), np.concatenate([self.scores, scores]))


class Response:
    """Makes models of a study, the same whenever it has seen the same.

    Args:
        courses: the rungs that trials pass.
        targets: weight of each target in the primary score.
        weights: of languages in the primary score; none: the same for all.
        looks_ahead: whether a schedule depends on the steps that are still to come.

    Attributes:
        priors: what is believed before anything is seen.
    """

    space: Space

    def __init__(
        self,
        space: Space,
        courses: PlannedCurves,
        targets: Mapping[str, float] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        looks_ahead: bool = False,
    ) -> None:
        self.space, self.courses = space, courses
        self._targets, self._weights = dict(targets or {}), dict(weights or {})
        self.looks_ahead = looks_ahead
        self._steps = [name for name, domain in space.parameters.items() if isinstance(domain, Steps)]
        self.priors: list[MeanFunction] = []
        self._fitted: dict[int, Fitted] = {}
        self._made: tuple[Any, StudyModel] | None = None

    @cached_property
    def features(self) -> Features:
        """Columns of the model."""
        stages = {stage: float(grid[0]) if grid else 1.0 for stage, grid in self.courses.rungs.items()}
        return Features(self.space, stages, looks_ahead=self.looks_ahead)

    def learned(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The trials that have a place in the space."""
        return learned_from(records)

    def ended(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Those of them that have ended, or did all their work, with a score."""
        return [r for r in self.learned(records) if r.scored and (r.state.finished or r.done)]

    def observations(self, records: Sequence[TrialRecord]) -> Observations:
        """Points of every curve."""
        return observations(records, self._targets, self._weights)

    def run_of(self, params: Params) -> str:
        """What trials that differ in their steps alone have in common: they are one run, stopped at other places."""
        return repr(sorted((name, value) for name, value in params.items() if name not in self._steps))

    def runs(self, known: Observations) -> list[str]:
        """The run of each point, worked out once a trial."""
        of_trial: dict[int, str] = {}
        for point, trial in zip(known.points, known.trials.tolist(), strict=True):
            if trial not in of_trial:
                of_trial[trial] = self.run_of(point.params)
        return [of_trial[trial] for trial in known.trials.tolist()]

    @staticmethod
    def first_trials(runs: Sequence[str], known: Observations) -> dict[str, int]:
        """The first trial of each run, whose number is the run's.

        Args:
            runs: of each point.
        """
        return dict(reversed(list(zip(runs, known.trials.tolist(), strict=True))))

    def evidence(self, known: Observations, table: FeatureTable | None = None) -> Evidence:
        """Points and their scores, each once: trials of one run pass through the same ones, which says nothing new.

        Args:
            table: the points as columns, where they are at hand.
        """
        runs = self.runs(known)
        first = self.first_trials(runs, known)
        table = self.features.table(known.points) if table is None else table
        table = table.of_runs(np.array([first[run] for run in runs], dtype=np.intp))
        places = [(run, other.tobytes()) for run, other in zip(table.runs.tolist(), table.others, strict=True)]
        rows: dict[tuple[int, bytes, bytes], int] = {}
        for k, (place, score) in enumerate(zip(places, known.scores, strict=True)):
            rows.setdefault((*place, score.tobytes()), k)
        once = np.array(list(rows.values()), dtype=np.intp)
        return Evidence(table.rows(once), known.scores[once])

    def ends(self, params: Sequence[Params]) -> FeatureTable:
        """Where trials with these parameters end."""
        places = [Point(params=each, windows={}) for each in params]
        return self.features.along(places, [self.courses.of(each).windows[-1:] for each in params])

    def model(self, records: Sequence[TrialRecord]) -> StudyModel:
        """The model of what is known; running trials are taken to come out as it expects."""
        state = tuple((r.number, r.state, len(r.curve), r.done) for r in records)
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
            from ratio_hpo.surrogate.model import ResponseModel

            known = self.observations(ended[:count])
            found, stages = self.evidence(known), len(self.courses.rungs)
            model = ResponseModel(
                self.features.blocks, stages, found.table, found.scores, known.weights, priors=self.priors
            )
            self._fitted[count] = model.fitted
        return self._fitted[count]


def shown(records: Sequence[TrialRecord], number: int, progress: Progress) -> list[TrialRecord]:
    """Records with an evaluation of a trial among them that is not stored yet."""
    found = list(records)
    if progress not in found[number].curve[-1:]:
        found[number] = replace(found[number], curve=(*found[number].curve, progress))
    return found


def response_of(view: StudyView) -> Response:
    """What makes models of a stored study."""
    courses = PlannedCurves(view.space, view.about.rungs, view.largest_cost, view.about.cost_unit)
    about = view.about
    return Response(view.space, courses, about.targets, weights=about.weights, looks_ahead=about.looks_ahead)
