"""The report: one self-contained HTML page with a table for every plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ratio_hpo.analysis.score_parts import name_of
from ratio_hpo.analysis.tables import csv_of, curves_table, languages_table, trials_table
from ratio_hpo.core.errors import printable
from ratio_hpo.core.files import written_whole
from ratio_hpo.core.yaml import dump_yaml
from ratio_hpo.report import context
from ratio_hpo.report.plots import PLOTS, draw, save
from ratio_hpo.report.plots.base import Cell, Facts, Plot, Table, Trial
from ratio_hpo.report.plots.confirmation import pairs_table
from ratio_hpo.report.svg import svg_of
from ratio_hpo.study.snapshot import StudyView

MAX_ROWS = 400
"""Rows of a table; a note below it gives the number of further rows and the command that exports them."""

TEMPLATE = "report.html.j2"


@dataclass(frozen=True, slots=True)
class Section:
    """A plot of the page, or the reason why it is missing.

    Attributes:
        name: Unique name in the page.
        plot: The plot.
        svg: Its drawing; empty if it is missing.
        tables: Titles and tables with the plot's numbers.
        missing: The reason why the plot is missing.
    """

    name: str
    plot: Plot
    svg: str = ""
    tables: Sequence[tuple[str, Table]] = ()
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A study of the page.

    Attributes:
        facts: The study's results.
        links: URL of the MLflow run by trial number.
    """

    facts: Facts
    links: Mapping[int, str] = field(default_factory=dict)


def write_report(columns: Sequence[Column], path: Path, *, refresh: int | None = None) -> Path:
    """Write the report.

    Args:
        columns: The studies; several are shown side by side.
        path: The HTML file.
        refresh: Interval in seconds at which a browser reloads the page; None disables reloading.

    Returns:
        The path.

    Raises:
        OSError: If the file cannot be written.
    """
    page = render(columns, refresh=refresh)
    with written_whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def render(columns: Sequence[Column], *, refresh: int | None = None) -> str:
    """Return the report as HTML."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("ratio_hpo.report", "."), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True)  # fmt: skip
    return environment.get_template(TEMPLATE).render(
        title=" and ".join(column.facts.view.name for column in columns),
        columns=columns,
        refresh=refresh,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        most=MAX_ROWS,
        context=context,
        sections_of=_sections,
        name_of=name_of,
        printable=printable,
        show=_show,
        is_trial=lambda cell: isinstance(cell, Trial),
    )


def _sections(facts: Facts, prefix: str) -> list[Section]:
    """Return a section for each plot; names start with the prefix."""
    sections = []
    for plot in PLOTS.values():
        name, missing = f"{prefix}{plot.name}", plot.missing(facts)
        if missing is not None:
            sections.append(Section(name, plot, missing=missing))
            continue
        figure, _ = draw(facts, plot.name)
        svg = svg_of(figure, facts.take_tips(), name, f"{plot.title}. {plot.about}")
        tables = [("Table", plot.table(facts))]
        if plot.name == "confirmation":
            tables.append(("All pairs", pairs_table(facts)))
        sections.append(Section(name, plot, svg, tables))
    return sections


def _show(cell: Cell) -> str:
    """Return a table cell as text."""
    if cell is None:
        return "–"
    if isinstance(cell, bool | str):
        return str(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}" if 0 < abs(cell) < 0.01 else f"{cell:.3f}"
    return str(cell.number)


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
