"""Predictions of the response model for the trials of a study and for proposed trials."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.measures import ERROR
from ratio_hpo.core.trial import NO_INTERMEDIATE_PARAM, Params, TrialRecord
from ratio_hpo.surrogate.evidence import Evidence, EvidenceBuilder
from ratio_hpo.surrogate.features import FeatureTable, Point
from ratio_hpo.surrogate.observations import drawn_by
from ratio_hpo.surrogate.planned_curve import PlannedCurve

if TYPE_CHECKING:
    from ratio_hpo.surrogate.acquisition import Curves, FrontCandidate, FrontGain, ImprovementChance
    from ratio_hpo.surrogate.model import Posterior, ResponseModel


Array = NDArray[np.float64]

TRIAL_COST = 0.25
"""Overhead of a trial as a fraction of the largest cost: its evaluations, its start and its use of the trial budget.
Without this term, a search prefers tiny gains that cost almost nothing."""


FRONT_DRAWS = 400
"""Number of joint draws of all scores from which front probabilities are estimated."""

LOOKED_AT = 6
"""Number of points of a planned curve at which a proposal is evaluated."""


class _Unmodelled(NamedTuple):
    """Points that the model does not cover, as columns of shape [n]."""

    trials: Array
    costs: Array
    means: Array
    sds: Array


class StudyModel:
    """A model of the current state of a study.

    Args:
        response: the evidence of the study.
        records: all trials so far.

    Attributes:
        observations: points of all curves.
        posterior: predictions at these points.
    """

    def __init__(self, response: EvidenceBuilder, records: Sequence[TrialRecord]) -> None:
        self._response, self._records = response, list(records)
        self._features, self._fit = response.features, response.fitted(records)
        self.observations = response.observations(records)
        self._runs, self._table = response.runs(self.observations), self._features.table(self.observations.points)
        self._evidence = self._with_diverged(response.evidence(self.observations, self._table))
        self._model = self._make(self._evidence)
        self.posterior = self._model.quick(self._table)

    @cached_property
    def _last(self) -> dict[int, int]:
        """Index of the last point of each trial, by trial number."""
        return {trial: k for k, trial in enumerate(self.observations.trials.tolist())}

    def finals(self) -> dict[int, tuple[float, float]]:
        """Return the posterior mean and standard deviation of each trial's final primary score, by trial number."""
        posterior = self.posterior
        return {trial: (float(posterior.mean[k]), float(posterior.sd[k])) for trial, k in self._last.items()}

    def front_candidates(self) -> list[FrontCandidate]:
        """Return each point with its probability of being on the front."""
        from ratio_hpo.surrogate.acquisition import FrontCandidate

        rng, auxiliary = np.random.default_rng(0), self._unmodelled
        draws = self._model.draws(self._table, FRONT_DRAWS, rng)
        draws = np.hstack(
            [draws, auxiliary.means + auxiliary.sds * rng.standard_normal((FRONT_DRAWS, len(auxiliary.means)))]
        )
        trials = np.concatenate([self.observations.trials, auxiliary.trials])
        all_costs = np.concatenate([self.observations.costs, auxiliary.costs])
        means = np.concatenate([self.posterior.mean, auxiliary.means])
        sds = np.concatenate([self.posterior.sd, auxiliary.sds])
        order = np.lexsort((np.arange(len(all_costs)), all_costs))
        values, costs = draws[:, order], all_costs[order]
        best = np.maximum.accumulate(values, axis=1)
        last_affordable = np.searchsorted(costs, costs, side="right") - 1  # last point of at most this cost
        probabilities = np.empty(len(all_costs))
        probabilities[order] = (values >= best[:, last_affordable]).mean(0)
        rows = (trials.astype(int).tolist(), all_costs.tolist(), means.tolist(), sds.tolist(), probabilities.tolist())
        return [FrontCandidate(*row) for row in zip(*rows, strict=True)]

    def leading(self, number: int) -> list[Params]:
        """Return parameters of the trials with the best predicted final scores, and of trials on the predicted front.

        Args:
            number: how many trials of each kind.
        """
        best = sorted(self._last, key=lambda trial: -self.posterior.mean[self._last[trial]])[:number]
        reached = self._gain.at(self.observations.costs)
        on_front = self.observations.trials[self.posterior.mean >= reached - 1e-12].tolist()
        return [self._records[trial].params for trial in dict.fromkeys([*best, *on_front[:number]])]

    def table_of(self, places: Sequence[Params], planned_curves: Sequence[PlannedCurve]) -> FeatureTable:
        """Return the feature columns of planned curves, concatenated, without a run effect."""
        points = [Point(params=params, windows={}) for params in places]
        return self._features.along(points, [planned_curve.windows for planned_curve in planned_curves])

    def predict(self, table: FeatureTable, *, measured: bool = False) -> Posterior:
        """Predict scores: the average over runs, or, if `measured`, the score of one more run."""
        return self._model.predict(table, measured=measured)

    def draw(self, table: FeatureTable, number: int) -> Array:
        """Draw jointly from the posterior of average scores, by output [number, n, m]; equal calls draw the same."""
        return self._model.draw_outputs(table, number, np.random.default_rng(0))

    def tendency(self, table: FeatureTable) -> Array:
        """Predict how far the primary score lies above the common curve, in standard deviations [n]."""
        return self._model.tendency(table)

    @property
    def tried(self) -> list[Params]:
        """Parameters of all trials that lie in the search space."""
        return [record.params for record in self._response.learned(self._records)]

    def was_tried(self, params: Params) -> bool:
        """Return whether a trial with these parameters exists."""
        return repr(sorted(params.items())) in self._tried

    def gain_per_cost(self, places: Sequence[Params], *, reuses: bool) -> Array:
        """Return the expected area that each proposal adds to the front, divided by its remaining cost [n].

        Args:
            places: parameters of the proposals.
            reuses: whether stages that are already trained cost nothing.
        """
        if not places:
            return np.zeros(0)
        curves = [self._response.planned_curves.of(params) for params in places]
        paid = np.array([curve.costs[-1] for curve in curves])
        if reuses and self._response.planned_curves.are_planned and not self._response.looks_ahead:
            paid = paid - [self._trained_cost(params, curve) for params, curve in zip(places, curves, strict=True)]
        gains = self._gain.expected(self._curves(places, [curve.thinned(LOOKED_AT) for curve in curves]))
        return gains / (paid + TRIAL_COST * self._response.planned_curves.largest_cost)

    def chances(self, places: Sequence[Params]) -> Array:
        """Return the probability that a point of each proposal joins the front [n].

        Points that an earlier proposal of `places` also passes through do not count.
        """
        probabilities, passed_windows = np.zeros(len(places)), set[bytes]()
        for k, params in enumerate(places):
            curve = self._response.planned_curves.of(params)
            new = np.array([row.tobytes() not in passed_windows for row in curve.windows])
            passed_windows |= {row.tobytes() for row in curve.windows}
            if new.any():
                new_curve = PlannedCurve(curve.windows[new], curve.costs[new]).thinned(LOOKED_AT)
                probabilities[k] = float(self._gain.joins(self._curves([params], [new_curve]))[0])
        return probabilities

    def improvement_chance(self, number: int) -> ImprovementChance:
        """Return the chance that the rest of a running trial improves the front, and its strongest rival."""
        from ratio_hpo.surrogate.acquisition import ImprovementChance

        record = self._records[number]
        remaining = self._remaining_curve(record)
        if not len(remaining.costs):
            return ImprovementChance(1.0, None)
        others, front = self._rivals(number)
        chance = float(front.joins(self._predicted_curve(record, remaining))[0])
        rivals = others & (self.observations.costs <= remaining.costs[-1])
        rival = int(self.observations.trials[rivals][self.posterior.mean[rivals].argmax()]) if rivals.any() else None
        return ImprovementChance(chance, rival)

    def _rivals(self, number: int) -> tuple[NDArray[np.bool_], FrontGain]:
        """Return a mask of the points of other trials, and the front of these points."""
        others = self.observations.trials != number
        return others, self._front(self.observations.costs[others], self.posterior.mean[others])

    def _predicted_curve(self, record: TrialRecord, curve: PlannedCurve) -> Curves:
        """Predict a part of a trial, including its run effect."""
        from ratio_hpo.surrogate.acquisition import stacked

        table = self._features.along([drawn_by(record, {})], [curve.windows])
        runs = self._response.first_trials(self._runs, self.observations)
        run = runs.get(self._response.run_of(record.params), record.number)
        posterior = self._model.predict(table.of_runs(np.full(len(table), run, dtype=np.intp)))
        return stacked(curve.costs, posterior, [len(curve.costs)])

    def _with_diverged(self, evidence: Evidence) -> Evidence:
        """Add the last points of diverged trials, imputed with the worst observed scores."""
        diverged = [record for record in self._response.learned(self._records) if record.diverged]
        if not diverged:
            return evidence
        ends = self._response.ends([record.params for record in diverged])
        return evidence.and_then(ends, np.repeat(evidence.scores.min(0)[None], len(diverged), axis=0))

    @cached_property
    def _unmodelled(self) -> _Unmodelled:
        """Points of the baseline without intermediate training; it has no mixture, so its measured scores are used."""
        rows = [
            (record.number, point.cost, point.primary_score, point.scores.get(ERROR, 0.0))
            for record in self._records
            if NO_INTERMEDIATE_PARAM in record.params
            for point in record.scored
        ]
        return _Unmodelled(*np.array(rows, dtype=float).reshape(-1, 4).T)

    @cached_property
    def _tried(self) -> set[str]:
        return {repr(sorted(record.params.items())) for record in self._records}

    @cached_property
    def _running(self) -> list[tuple[TrialRecord, PlannedCurve]]:
        """Running trials, with the rest of their planned curves."""
        running = [r for r in self._response.learned(self._records) if not (r.state.finished or r.done)]
        remaining = [(record, self._remaining_curve(record)) for record in running]
        return [(record, curve) for record, curve in remaining if len(curve.costs)]

    @cached_property
    def _imputed(self) -> tuple[ResponseModel, FrontGain]:
        """Model and front with all running trials imputed to their ends."""
        if not self._running:
            return self._model, self._front(self.observations.costs, self.posterior.mean)
        points = [drawn_by(record, {}) for record, _ in self._running]
        table = self._features.along(points, [curve.windows for _, curve in self._running])
        posterior = self._model.quick(table)
        costs = np.concatenate([curve.costs for _, curve in self._running])
        model = self._make(self._evidence.and_then(table, posterior.outputs))
        means = np.concatenate([self.posterior.mean, posterior.mean])
        return model, self._front(np.concatenate([self.observations.costs, costs]), means)

    @property
    def _gain(self) -> FrontGain:
        return self._imputed[1]

    def _front(self, costs: Array, means: Array) -> FrontGain:
        from ratio_hpo.surrogate.acquisition import FrontGain

        auxiliary = self._unmodelled
        costs, means = np.concatenate([costs, auxiliary.costs]), np.concatenate([means, auxiliary.means])
        return FrontGain(costs, means, self._response.planned_curves.largest_cost)

    def _make(self, evidence: Evidence) -> ResponseModel:
        from ratio_hpo.surrogate.model import ResponseModel

        stages = len(self._response.planned_curves.rungs)
        priors = self._response.priors
        return ResponseModel(
            self._features.blocks, stages, evidence.table, evidence.scores, self.observations.weights, self._fit, priors
        )

    def _curves(self, places: Sequence[Params], curves: Sequence[PlannedCurve]) -> Curves:
        from ratio_hpo.surrogate.acquisition import stacked

        points = [Point(params=params, windows={}) for params in places]
        posterior = self._imputed[0].quick(self._features.along(points, [curve.windows for curve in curves]))
        costs = np.concatenate([curve.costs for curve in curves])
        return stacked(costs, posterior, [len(curve.costs) for curve in curves])

    def _remaining_curve(self, record: TrialRecord) -> PlannedCurve:
        """Return the rest of the planned curve of a trial."""
        return self._response.planned_curves.of(record.params).after(record.curve[-1].cost if record.curve else 0.0)

    def _trained_cost(self, params: Params, curve: PlannedCurve) -> float:
        """Return the cost of the part of the first stage that earlier trials have trained."""
        reached = self._trained_windows.get(self._response.run_of(params), 0.0)
        in_first = (curve.windows[:, 0] <= reached) & (curve.windows[:, 1:].sum(1) == 0)
        return float(curve.costs[in_first].max(initial=0.0))

    @cached_property
    def _trained_windows(self) -> dict[str, float]:
        """Windows of the first stage that have been trained, by run."""
        first_stage = next(iter(self._response.planned_curves.rungs), "")
        trained: dict[str, float] = {}
        for run, point in zip(self._runs, self.observations.points, strict=True):
            trained[run] = max(trained.get(run, 0.0), point.windows.get(first_stage, 0.0))
        return trained
