"""Comparison of trials or studies, one column for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ratio_hpo.analysis.status import entry, status
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.measures import ERROR
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.study.advice import best_trial
from ratio_hpo.study.snapshot import StudyView


def compare_trials(trials: Sequence[tuple[StudyView, TrialRecord]]) -> dict[str, Any]:
    """Compare trials by parameters, realised shares, scores by language, cost and convergence.

    Returns:
        `columns` with one name for each trial, and `rows` of {key, values}; a value is None if the trial lacks the key.
    """
    one_study = len({view.name for view, _ in trials}) == 1
    names = [str(record.number) if one_study else f"{view.name}/{record.number}" for view, record in trials]
    return _side_by_side("trials", names, [_trial(view, record) for view, record in trials])


def compare_studies(views: Sequence[StudyView]) -> dict[str, Any]:
    """Compare studies by experiment, progress and best trial.

    Hypervolume and costs are comparable only between studies with the same base, data and largest cost.
    """
    return _side_by_side("studies", [view.name for view in views], [_study(view) for view in views])


def _trial(view: StudyView, record: TrialRecord) -> dict[str, Any]:
    content = entry(record, view)
    params = content.params
    keys = ("state", "kind", "ratio", "ratio_realised")
    column: dict[str, Any] = {key: getattr(content, key) for key in keys}
    column |= {key: value for key, value in params.items() if key not in ("ratio", "shares")}
    for stage, plan in record.plan.stages.items():
        column |= {f"{stage} {source}": realised.share_windows for source, realised in plan.sources.items()}
    column |= {
        f"shares {source}": share for source, share in params.get("shares", {}).items() if not record.plan.stages
    }
    column |= {key: getattr(content, key) for key in ("score", "cost", "cost_to_target", "area_over_curve")}
    last = record.scored[-1] if record.scored else None
    if last is not None:
        column |= {f"score/{language}": value for language, value in last.by_language().items()}
        column |= {"score_error": last.scores.get(ERROR), "seconds": last.measures.get("seconds")}
    return column


def _study(view: StudyView) -> dict[str, Any]:
    content = status(view)
    keys = ("experiment", "space", "base", "target", "hypervolume", "cost_unit", "paid_cost")
    column = {key: getattr(content, key) for key in keys}
    column |= {state: count for state, count in content.counts.items() if count}
    column["largest_cost"] = view.largest_cost
    best = best_trial(view.records)
    if best is not None:
        column |= {f"best {key}": value for key, value in _trial(view, best).items() if key not in ("state", "kind")}
        column["best trial"] = best.number
    return column


def _side_by_side(compared: str, names: Sequence[str], columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    keys = {key: None for column in columns for key in column}
    rows = [{"key": key, "values": [column.get(key) for column in columns]} for key in keys]
    return {"schema": SCHEMA, "compared": compared, "columns": list(names), "rows": rows}
