"""Comparison of trials or studies, one column for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ratio_hpo.analysis.status import finite
from ratio_hpo.core.json_format import Result
from ratio_hpo.core.measures import ERROR
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.front import spent_on, study_hypervolume, summary
from ratio_hpo.study.advice import best_trial
from ratio_hpo.study.snapshot import StudyView

Column = dict[str, object]
"""Values of a trial or a study by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One key of all compared trials or studies.

    Attributes:
        key: Name of the value.
        values: One value for each column; null: it lacks the key.
    """

    key: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Result):
    """The result of `compare`.

    Attributes:
        compared: `trials` or `studies`.
        columns: Names of the trials or studies.
        rows: Their values by key.
    """

    compared: str
    columns: tuple[str, ...]
    rows: tuple[ComparedRow, ...]


def compare_trials(trials: Sequence[tuple[StudyView, TrialRecord]]) -> Comparison:
    """Compare trials by parameters, realised shares, scores by language, cost and convergence."""
    one_study = len({view.name for view, _ in trials}) == 1
    names = [str(record.number) if one_study else f"{view.name}/{record.number}" for view, record in trials]
    return _side_by_side("trials", names, [_trial(view, record) for view, record in trials])


def compare_studies(views: Sequence[StudyView]) -> Comparison:
    """Compare studies by experiment, progress and best trial.

    Hypervolume and costs are comparable only between studies with the same base, data and largest cost.
    """
    return _side_by_side("studies", [view.name for view in views], [_study(view) for view in views])


def _trial(view: StudyView, record: TrialRecord) -> Column:
    column: Column = {
        "state": record.state.value,
        "kind": record.kind,
        "ratio": record.ratio,
        "ratio_realised": record.plan.ratio_realised,
        **{key: value for key, value in record.params.items() if key not in ("ratio", "shares")},
    }
    for stage, plan in record.plan.stages.items():
        column |= {f"{stage} {source}": realised.share_windows for source, realised in plan.sources.items()}
    if not record.plan.stages:
        column |= {f"shares {source}": share for source, share in record.params.get("shares", {}).items()}
    column |= {key: finite(value) for key, value in summary(record, view.target, view.largest_cost).items()}
    if record.scored:
        last = record.scored[-1]
        column |= {f"score/{language}": value for language, value in last.by_language().items()}
        column |= {"score_error": last.scores.get(ERROR), "seconds": last.measures.get("seconds")}
    return column


def _study(view: StudyView) -> Column:
    counts = Counter(record.state for record in view.records)
    column: Column = {
        "experiment": view.about.experiment,
        "space": view.about.space,
        "base": view.about.base,
        "target": view.target,
        "hypervolume": study_hypervolume(view.records, view.largest_cost),
        "cost_unit": view.about.cost_unit,
        "paid_cost": spent_on(view.records).cost,
        **{state.value: counts[state] for state in State if counts[state]},
        "largest_cost": view.largest_cost,
    }
    best = best_trial(view.records)
    if best is not None:
        column |= {f"best {key}": value for key, value in _trial(view, best).items() if key not in ("state", "kind")}
        column["best trial"] = best.number
    return column


def _side_by_side(compared: str, names: Sequence[str], columns: Sequence[Column]) -> Comparison:
    keys = dict.fromkeys(key for column in columns for key in column)
    rows = tuple(ComparedRow(key=key, values=tuple(column.get(key) for column in columns)) for key in keys)
    return Comparison(compared=compared, columns=tuple(names), rows=rows)
