"""A study and its trials as plain data, for the printed output and `--json`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ratio_hpo.analysis.recommend import advice_of
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.front import front, spent_on, study_hypervolume, summary
from ratio_hpo.study.advice import Advice, Member, best_trial
from ratio_hpo.study.manage import StudySummary
from ratio_hpo.study.snapshot import StudyView
from ratio_hpo.tracking.base import token


def studies(summaries: Sequence[StudySummary]) -> dict[str, Any]:
    """Return one entry per study."""
    return {
        "schema": SCHEMA,
        "studies": [
            {
                "name": s.name,
                "experiment": s.experiment,
                "space": s.space,
                "counts": s.counts,
                "target": s.target,
                "started": datetime.fromtimestamp(s.started, UTC).isoformat(timespec="seconds") if s.started else None,
            }
            for s in summaries
        ],
    }


def status(view: StudyView) -> dict[str, Any]:
    """Return counts, target, best trial, hypervolume, costs and one entry per trial."""
    counts = Counter(record.state.value for record in view.records)
    best = best_trial(view.records)
    spent = spent_on(view.records)
    on_front = {member.trial.number for member in front(view.records)}
    return {
        "schema": SCHEMA,
        "study": view.name,
        "experiment": view.about.experiment,
        "space": view.about.space,
        "base": view.about.base,
        "trials_asked": view.about.trials,
        "counts": {state.value: counts.get(state.value, 0) for state in State},
        "diverged": sum(record.diverged for record in view.records),
        "waiting_for_target": sum(record.done and record.state is State.RUNNING for record in view.records),
        "interrupted": sum(is_interrupted(record) for record in view.records),
        "target": view.target,
        "measure": view.about.measure,
        "cost_unit": view.about.cost_unit,
        "best": None if best is None else entry(best, view),
        "recommended": _recommended(view),
        "hypervolume": study_hypervolume(view.records, view.largest_cost),
        "paid_cost": spent.cost,
        "paid_seconds": spent.seconds,
        "scored_windows": spent.scored,
        "scoring_seconds": spent.scoring_seconds,
        "front": sorted(on_front),
        "tracking_lags": count_lags(view, on_front),
        "leaks": list(view.about.leaks),
        "trials": [entry(record, view) for record in view.records],
    }


def entry(record: TrialRecord, view: StudyView) -> dict[str, Any]:
    """Return a trial as one flat entry: parameters, final score, cost, convergence."""
    numbers, recommended = summary(record, view.target, view.largest_cost), view.recommended
    return {
        "number": record.number,
        "state": record.state.value,
        "kind": record.kind,
        "baseline": record.is_baseline,
        "recommended": record.number == (recommended.number if recommended is not None else None),
        "ratio": record.ratio,
        "ratio_realised": record.plan.ratio_realised,
        "params": record.params,
        **{key: finite(value) for key, value in numbers.items()},
        "censored": numbers["cost_to_target"] == math.inf and record.state.finished,
        "evaluations": len(record.curve),
        "retry_of": record.retry_of,
        "sweep_of": record.sweep_of,
        "reason": record.reason,
        "worker": record.worker,
        "interrupted": is_interrupted(record),
    }


def details(record: TrialRecord, view: StudyView) -> dict[str, Any]:
    """Return a trial with its curve, plan, settings and traceback."""
    return {
        "schema": SCHEMA,
        "study": view.name,
        **entry(record, view),
        "plan": asdict(record.plan),
        "seed": record.seed,
        "settings": dict(record.settings),
        "traceback": record.traceback,
        "curve": [
            {
                "stage": p.stage,
                "windows": p.windows,
                "cost": p.cost,
                "paid": p.paid,
                "score": p.primary_score if p.has_primary_score else None,
                "scores": dict(p.scores),
                "measures": dict(p.measures),
            }
            for p in record.curve
        ],
    }


def pareto(view: StudyView) -> dict[str, Any]:
    """Return the anytime front ordered by cost, with the probability that each point is on it."""
    advice = advice_of(view)
    predictions = {} if advice is None else {member.key: member for member in advice.front}
    members = front(view.records)
    measured, recommended = {point.key for point in members}, view.recommended
    return {
        "schema": SCHEMA,
        "study": view.name,
        "target": view.target,
        "measure": view.about.measure,
        "hypervolume": study_hypervolume(view.records, view.largest_cost),
        "points": [
            {
                "trial": point.trial.number,
                "kind": point.trial.kind,
                "state": point.trial.state.value,
                "ratio": point.trial.ratio,
                "ratio_realised": point.trial.plan.ratio_realised,
                "params": point.trial.params,
                "stage": point.progress.stage,
                "windows": point.progress.windows,
                "cost": point.progress.cost,
                "score": point.progress.primary_score,
                "by_language": point.progress.by_language(),
                "weights": point.key,
                "recommended": recommended is not None and point.trial.number == recommended.number,
                **_prediction(predictions.get(point.key), advice),
            }
            for point in members
        ],
        "also_likely": [asdict(member) for key, member in predictions.items() if key not in measured],
    }


def _prediction(member: Member | None, advice: Advice | None) -> dict[str, float | None]:
    """Return predicted score and front probability of a point; None if there is no prediction."""
    if member is None:
        return {"expected": None, "sd": None, "probability": None if advice is None else 0.0}
    return {"expected": member.mean, "sd": member.sd, "probability": member.probability}


def _recommended(view: StudyView) -> dict[str, Any] | None:
    """Return the recommendation that the driver stored last."""
    advice = view.advice
    if advice is None:
        return None
    is_current = advice.is_of(view.records)
    return {
        "trial": advice.trial,
        "score": advice.mean,
        "sd": advice.sd,
        "as_of": advice.ended,
        "stale": not is_current,
    }


def is_interrupted(record: TrialRecord) -> bool:
    """Return whether a RUNNING trial has no worker; the next search resumes it."""
    return record.state is State.RUNNING and record.worker is None and not record.done


def count_lags(view: StudyView, on_front: Set[int]) -> int:
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
