"""Plots and tables that are stored as artifacts of a whole study."""

from __future__ import annotations

from pathlib import Path

from ratio_hpo.analysis.plots import save
from ratio_hpo.analysis.report.page import Column, write_report
from ratio_hpo.analysis.tables import csv_of, curves_table, languages_table, trials_table
from ratio_hpo.core.config import dump_yaml
from ratio_hpo.study.view import StudyView


def write_artifacts(view: StudyView, folder: Path, column: Column | None) -> None:
    """Write the experiment, trials, curves, scores by language, front plot and report of a study.

    Args:
        view: The study.
        folder: An existing folder to write to.
        column: The study as the report shows it. None writes no front plot and no report: the results of a
            confirmation are part of the report of the confirmed study.
    """
    (folder / "experiment.yaml").write_text(dump_yaml(dict(view.about.config)), encoding="utf-8")
    (folder / "trials.csv").write_text(csv_of(trials_table(view)), encoding="utf-8")
    if any(record.curve for record in view.records):
        (folder / "curves.csv").write_text(csv_of(curves_table(view)), encoding="utf-8")
        (folder / "score-by-language.csv").write_text(csv_of(languages_table(view)), encoding="utf-8")
        if column is not None:
            save(column.facts, "front", folder / "front.png")
            write_report([column], folder / "report.html")
