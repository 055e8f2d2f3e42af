"""A study and its trials as results, for the printed output and `--json`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Set

from ratio_hpo.analysis.recommend import require_recommendation
from ratio_hpo.analysis.results import (
    BestTrial,
    Evaluation,
    Expectation,
    StoredRecommendation,
    StudyStatus,
    TrialDetails,
    TrialEntry,
)
from ratio_hpo.core.json_format import extended
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.front import front, spent_on, study_hypervolume, summary
from ratio_hpo.study.advice import best_trial
from ratio_hpo.study.snapshot import StudyView
from ratio_hpo.tracking.base import token


def status(view: StudyView) -> StudyStatus:
    """Return counts, target, best trial, hypervolume, costs and one entry per trial."""
    counts = Counter(record.state for record in view.records)
    best_seen, spent, advice = best_trial(view.records), spent_on(view.records), view.advice
    on_front = {member.trial.number for member in front(view.records)}
    trials = tuple(entry(record, view) for record in view.records)
    return StudyStatus(
        study=view.name,
        experiment=view.about.experiment,
        space=view.about.space,
        base=view.about.base,
        trials_asked=view.about.trials,
        counts={state.value: counts[state] for state in State},
        diverged=sum(record.diverged for record in view.records),
        waiting_for_target=sum(record.done and record.state is State.RUNNING for record in view.records),
        interrupted=sum(trial.interrupted for trial in trials),
        target=view.target,
        measure=view.about.measure,
        cost_unit=view.about.cost_unit,
        best=None if best_seen is None else trials[best_seen.number],
        recommended=None if advice is None else StoredRecommendation(
            trial=advice.trial, score=advice.mean, sd=advice.sd, as_of=advice.ended,
            stale=not advice.is_of(view.records),
        ),
        hypervolume=study_hypervolume(view.records, view.largest_cost),
        paid_cost=spent.cost,
        paid_seconds=spent.seconds,
        scored_windows=spent.scored,
        scoring_seconds=spent.scoring_seconds,
        front=tuple(sorted(on_front)),
        tracking_lags=_count_lags(view, on_front),
        leaks=view.about.leaks,
        trials=trials,
    )  # fmt: skip


def entry(record: TrialRecord, view: StudyView) -> TrialEntry:
    """Return a trial with its parameters, final score, cost and convergence."""
    numbers = summary(record, view.target, view.largest_cost)
    return TrialEntry(
        number=record.number,
        state=record.state.value,
        kind=record.kind,
        baseline=record.is_baseline,
        recommended=view.recommended is not None and record.number == view.recommended.number,
        ratio=record.ratio,
        ratio_realised=record.plan.ratio_realised,
        params=record.params,
        score=finite(numbers["score"]),
        cost=finite(numbers["cost"]),
        cost_to_target=finite(numbers["cost_to_target"]),
        area_over_curve=finite(numbers["area_over_curve"]),
        censored=numbers["cost_to_target"] == math.inf and record.state.finished,
        evaluations=len(record.curve),
        retry_of=record.retry_of,
        sweep_of=record.sweep_of,
        reason=record.reason,
        worker=record.worker,
        interrupted=record.state is State.RUNNING and record.worker is None and not record.done,
    )


def details(record: TrialRecord, view: StudyView) -> TrialDetails:
    """Return a trial with its curve, plan, settings and traceback."""
    curve = tuple(
        Evaluation(
            stage=point.stage,
            windows=point.windows,
            cost=point.cost,
            paid=point.paid,
            score=point.primary_score if point.has_primary_score else None,
            scores=point.scores,
            measures=point.measures,
        )
        for point in record.curve
    )
    return extended(
        TrialDetails, entry(record, view), study=view.name, plan=record.plan, seed=record.seed,
        settings=record.settings, traceback=record.traceback, curve=curve,
    )  # fmt: skip


def best(view: StudyView, folder: RunFolder) -> BestTrial:
    """Return the recommended trial, with the reason and the folder of its weights.

    Raises:
        StudyError: If no trial is complete.
    """
    advice = require_recommendation(view)
    weights = folder.kept(view.name, advice.weights)
    return extended(
        BestTrial, details(advice.record, view), why=advice.why, best_seen=advice.best_seen.number,
        expected=None if advice.mean is None else Expectation(score=advice.mean, sd=advice.sd or 0.0),
        weights=None if weights is None else str(weights),
    )  # fmt: skip


def _count_lags(view: StudyView, on_front: Set[int]) -> int:
    """Return the number of trials with unwritten tracking data; 0 if the study runs without tracking."""
    if view.about.store is None:
        return 0
    timed = view.target is not None
    started_trials = [record for record in view.records if record.state is not State.WAITING and record.params]
    return sum(
        view.tracked.get(r.number) != token(r, on_front=r.number in on_front, timed=timed) for r in started_trials
    )


def finite(value: float | None) -> float | None:
    """Return a finite value, or None for infinity, which JSON lacks; the key `censored` marks it."""
    return None if value is None or not math.isfinite(value) else value
