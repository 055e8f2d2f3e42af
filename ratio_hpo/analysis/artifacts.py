"""The pictures and tables that go with a study as a whole."""

from __future__ import annotations

from pathlib import Path

from ratio_hpo.analysis.interactive import write_front_page
from ratio_hpo.analysis.plot import plot_front
from ratio_hpo.analysis.tables import curves_table, languages_table, trials_table
from ratio_hpo.core.config import dump_yaml
from ratio_hpo.study.view import StudyView


def write_artifacts(view: StudyView, folder: Path) -> None:
    """Write the experiment, trials, curves, scores by language, and the front as a picture and as a page."""
    (folder / "experiment.yaml").write_text(dump_yaml(dict(view.about.config)), encoding="utf-8")
    trials_table(view).to_csv(folder / "trials.csv", index=False)
    if any(record.curve for record in view.records):
        curves_table(view).to_csv(folder / "curves.csv", index=False)
        languages_table(view).to_csv(folder / "score-by-language.csv", index=False)
        plot_front(view, folder / "front.png")
        write_front_page(view, folder / "front.html")
