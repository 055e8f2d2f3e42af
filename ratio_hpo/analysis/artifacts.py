"""The pictures and tables that go with a study as a whole."""

from __future__ import annotations

from pathlib import Path

from ratio_hpo.analysis.plots import save
from ratio_hpo.analysis.report.page import Column, write_report
from ratio_hpo.analysis.tables import csv_of, curves_table, languages_table, trials_table
from ratio_hpo.core.config import dump_yaml
from ratio_hpo.study.view import StudyView


def write_artifacts(view: StudyView, folder: Path, column: Column | None) -> None:
    """Write the experiment, trials, curves, scores by language, the front as a picture, and the report.

    Args:
        column: what the report is of; None: there is none, as of a confirmation, whose answer its study's report holds.
    """
    (folder / "experiment.yaml").write_text(dump_yaml(dict(view.about.config)), encoding="utf-8")
    (folder / "trials.csv").write_text(csv_of(trials_table(view)), encoding="utf-8")
    if any(record.curve for record in view.records):
        (folder / "curves.csv").write_text(csv_of(curves_table(view)), encoding="utf-8")
        (folder / "score-by-language.csv").write_text(csv_of(languages_table(view)), encoding="utf-8")
        if column is not None:
            save(column.facts, "front", folder / "front.png")
            write_report([column], folder / "report.html")
