"""The evidence of a response model: the points of all curves, their feature columns, and fitted hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.space import Space, Steps
from ratio_hpo.surrogate.features import Features, FeatureTable, MeanFunction, Point
from ratio_hpo.surrogate.observations import Observations, learned_from, observations
from ratio_hpo.surrogate.planned_curve import PlannedCurves

if TYPE_CHECKING:
    from ratio_hpo.surrogate.model import Fitted

Array = NDArray[np.float64]

FIRST_FIT, GROWTH = 8, 1.5
"""Hyperparameters are refitted after 8, 12, 18, 27, … ended trials."""


class Evidence(NamedTuple):
    """Feature columns of points, with the scores of the points [n, m]."""

    table: FeatureTable
    scores: Array

    def and_then(self, table: FeatureTable, scores: Array) -> Evidence:
        """Return the evidence with more points appended."""
        return Evidence(self.table.with_rows(table), np.concatenate([self.scores, scores]))


class EvidenceBuilder:
    """What models of a study are built from.

    Args:
        space: the search space.
        planned_curves: planned curves of trials.
        targets: weight of each target in the primary score.
        weights: weight of each language in the primary score; equal weights if empty.
        looks_ahead: whether a learning-rate schedule depends on the number of remaining steps.

    Attributes:
        priors: mean functions known before the first trial.
    """

    space: Space

    def __init__(
        self,
        space: Space,
        planned_curves: PlannedCurves,
        targets: Mapping[str, float] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        looks_ahead: bool = False,
    ) -> None:
        self.space, self.planned_curves = space, planned_curves
        self._targets, self._weights = dict(targets or {}), dict(weights or {})
        self.looks_ahead = looks_ahead
        self._steps = [name for name, domain in space.parameters.items() if isinstance(domain, Steps)]
        self.priors: list[MeanFunction] = []
        self._fitted: dict[int, Fitted] = {}

    @cached_property
    def features(self) -> Features:
        """Feature columns of the model."""
        stages = {stage: float(grid[0]) if grid else 1.0 for stage, grid in self.planned_curves.rungs.items()}
        return Features(self.space, stages, looks_ahead=self.looks_ahead)

    def learned(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Return the trials whose parameters lie in the search space."""
        return learned_from(records)

    def ended(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Return the trials in the search space that have a score and have ended or done all their work."""
        return [r for r in self.learned(records) if r.scored and (r.state.finished or r.done)]

    def observations(self, records: Sequence[TrialRecord]) -> Observations:
        """Return the points of every curve."""
        return observations(records, self._targets, self._weights)

    def run_of(self, params: Params) -> str:
        """Return the key of a run: trials that differ only in steps are one run, stopped at different points."""
        return repr(sorted((name, value) for name, value in params.items() if name not in self._steps))

    def runs(self, known: Observations) -> list[str]:
        """Return the run of each point."""
        of_trial: dict[int, str] = {}
        for point, trial in zip(known.points, known.trials.tolist(), strict=True):
            if trial not in of_trial:
                of_trial[trial] = self.run_of(point.params)
        return [of_trial[trial] for trial in known.trials.tolist()]

    @staticmethod
    def first_trials(runs: Sequence[str], known: Observations) -> dict[str, int]:
        """Return the first trial of each run; its number identifies the run.

        Args:
            runs: run of each point.
        """
        return dict(reversed(list(zip(runs, known.trials.tolist(), strict=True))))

    def evidence(self, known: Observations, table: FeatureTable | None = None) -> Evidence:
        """Return distinct points and their scores: trials of one run share points, which count only once.

        Args:
            table: feature columns of the points; computed if None.
        """
        runs = self.runs(known)
        first = self.first_trials(runs, known)
        table = self.features.table(known.points) if table is None else table
        table = table.of_runs(np.array([first[run] for run in runs], dtype=np.intp))
        keys = [(run, other.tobytes()) for run, other in zip(table.runs.tolist(), table.others, strict=True)]
        rows: dict[tuple[int, bytes, bytes], int] = {}
        for index, (key, score) in enumerate(zip(keys, known.scores, strict=True)):
            rows.setdefault((*key, score.tobytes()), index)
        distinct = np.array(list(rows.values()), dtype=np.intp)
        return Evidence(table.rows(distinct), known.scores[distinct])

    def ends(self, params: Sequence[Params]) -> FeatureTable:
        """Return the feature columns of the last points of trials with these parameters."""
        points = [Point(params=trial_params, windows={}) for trial_params in params]
        return self.features.along(
            points, [self.planned_curves.of(trial_params).windows[-1:] for trial_params in params]
        )

    def fitted(self, records: Sequence[TrialRecord]) -> Fitted:
        """Return the hyperparameters fitted at the last scheduled number of ended trials."""
        ended = self.ended(records)
        count = min(len(ended), FIRST_FIT)
        while count >= FIRST_FIT and round(count * GROWTH) <= len(ended):
            count = round(count * GROWTH)
        if count not in self._fitted:
            from ratio_hpo.surrogate.model import ResponseModel

            first_observations = self.observations(ended[:count])
            evidence, stages = self.evidence(first_observations), len(self.planned_curves.rungs)
            model = ResponseModel(
                self.features.blocks,
                stages,
                evidence.table,
                evidence.scores,
                first_observations.weights,
                priors=self.priors,
            )
            self._fitted[count] = model.fitted
        return self._fitted[count]
