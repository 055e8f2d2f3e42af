"""Trials, curves and scores by language as pandas tables, for notebooks, exports and artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ratio_hpo.analysis.status import entry
from ratio_hpo.core.json_format import plain
from ratio_hpo.metrics.front import front
from ratio_hpo.study.snapshot import StudyView

if TYPE_CHECKING:
    from pandas import DataFrame


def trials_table(view: StudyView) -> DataFrame:
    """Return one row per trial: state, parameters (`params.<name>`), realised shares, scores, cost, convergence."""
    import pandas

    rows = []
    front_trials = {member.trial.number for member in front(view.records)}
    for record in view.records:
        row = plain(entry(record, view))
        params = row.pop("params")
        shares = params.get("shares", {})
        row["front"] = record.number in front_trials
        row |= {f"params.{key}": value for key, value in params.items() if key != "shares"}
        row |= {f"params.shares.{source}": share for source, share in shares.items()}
        for stage, plan in record.plan.stages.items():
            for source, realised in plan.sources.items():
                row[f"realised.{stage}.{source}"] = realised.share_windows
                row[f"epochs.{stage}.{source}"] = realised.epochs
        if record.scored:
            row |= {f"score.{language}": value for language, value in record.scored[-1].by_language().items()}
        rows.append(row)
    return pandas.DataFrame(rows)


def curves_table(view: StudyView) -> DataFrame:
    """Return one row per evaluation: stage, windows, attributed and paid cost, all scores and measures."""
    import pandas

    rows = [
        {
            "trial": record.number,
            "state": record.state.value,
            "ratio": record.ratio,
            "stage": point.stage,
            "windows": point.windows,
            "cost": point.cost,
            "paid": point.paid_cost,
            "time": point.time,
            **point.scores,
            **point.measures,
        }
        for record in view.records
        for point in record.curve
    ]
    return pandas.DataFrame(rows)


def languages_table(view: StudyView) -> DataFrame:
    """Return one row per point of the front, ordered by cost, with one score column per language."""
    import pandas

    rows = [
        {
            "cost": member.progress.cost,
            "trial": member.trial.number,
            "ratio": member.trial.ratio,
            "mean": member.progress.primary_score,
            **member.progress.by_language(),
        }
        for member in front(view.records)
    ]
    return pandas.DataFrame(rows)


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make spreadsheets read a text as a formula."""


def csv_cell(value: object) -> object:
    """Return a cell that spreadsheets show as it is: a text that they would run as a formula gets a leading quote.

    Examples:
        >>> csv_cell("=SUM(A1)"), csv_cell(-1.5), csv_cell("en")
        ("'=SUM(A1)", -1.5, 'en')
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def csv_of(table: DataFrame) -> str:
    """Return a table as CSV text, without formulas."""
    return table.rename(columns=csv_cell).map(csv_cell).to_csv(index=False)
