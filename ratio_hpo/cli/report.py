"""The commands that write a report or a plot of a study: `report` and `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratio_hpo.cli.options import (
    complete_studies,
    named_study,
    one_name,
    reading_timeout,
    root_option,
    storage_option,
    study_option,
    tracking_uri_option,
)
from ratio_hpo.cli.printing import open_stored, waiting_for
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.report.formatting import say

if TYPE_CHECKING:
    from ratio_hpo.report.page import Column
    from ratio_hpo.storage.connect import Storage
    from ratio_hpo.study.snapshot import StudyView


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              help="File to write the page to.  [default: reports/<study>.html in --root]")  # fmt: skip
@click.option("--pdf", is_flag=True, help="Also write the page as a PDF next to it; needs Chromium.")
@click.option(
    "--compare", nargs=2, metavar="A B", shell_complete=complete_studies, help="Report two studies side by side."
)
@named_study
@root_option
@storage_option
@reading_timeout
@tracking_uri_option
def report(
    output: Path | None, pdf: bool, compare: tuple[str, str] | None, study: str | None, root: Path,
    storage: str | None, tracking_uri: str | None,
) -> None:  # fmt: skip
    """Write the results of a study and the evidence for them as one HTML page without scripts or network access.

    The page starts with the last confirmation and does not read `test` again. Trials link to their runs in MLflow.

    \b
    ratio-hpo report
    ratio-hpo report polyglot-world-default -o report.html --pdf
    ratio-hpo report --compare xlmr-default mbert-default
    """
    from ratio_hpo.report.page import write_report
    from ratio_hpo.study.snapshot import view_study

    if compare is not None and study is not None:
        raise click.UsageError("--compare names both studies; omit the other name")
    stored = open_stored(root, storage, only_read=True)
    with waiting_for(root, storage):
        views = [view_study(stored, name) for name in compare or (study,)]
    columns = [column(stored, view, root, tracking_uri) for view in views]
    names = "+".join(study_column.facts.view.name for study_column in columns)
    path = write_report(columns, output or RunFolder(root).report(names))
    say(f"report: {path}")
    if pdf:
        from ratio_hpo.report.pdf import print_page

        say(f"PDF: {print_page(path, path.with_suffix('.pdf'))}")


def column(stored: Storage, view: StudyView, root: Path, tracking_uri: str | None, ui: str | None = None) -> Column:
    """Return a study as a column of the report, with links to its runs if the tracking store answers.

    Args:
        ui: address of the MLflow UI of the store in `root`; None: the default address of `ratio-hpo ui`.
    """
    from ratio_hpo.core.urls import reason_of
    from ratio_hpo.experiment.report_context import report_column
    from ratio_hpo.experiment.track import run_links

    folder = RunFolder(root)
    try:
        links = run_links(view, folder, tracking_uri, ui)
    except Exception as error:  # a tracking store may raise anything; the report does not need it
        say(f"the report has no links to MLflow ({reason_of(error)})")
        links = {}
    return report_column(stored, view, folder, links)


@click.command()
@click.argument("picture")
@click.argument("name", required=False, metavar="[STUDY]", shell_complete=complete_studies)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              help="A .pdf, .svg or .png file.  [default: a PDF in --root]")  # fmt: skip
@study_option
@root_option
@storage_option
@reading_timeout
def plot(
    picture: str, name: str | None, output: Path | None, study: str | None, root: Path, storage: str | None
) -> None:
    """Write one plot of a study to a file, for papers; vector formats embed their fonts.

    Plots: confirmation, front, response, languages, heat, gains, curves, hypervolume, importance, slices, parallel,
    ternary, realised, savings, timeline, noise.

    \b
    ratio-hpo plot front
    ratio-hpo plot response polyglot-world-default -o response.svg
    """
    from ratio_hpo.experiment.report_context import report_context
    from ratio_hpo.report.plots import check_ending, find_plot, save
    from ratio_hpo.study.snapshot import view_study

    find_plot(picture)
    if output is not None:
        check_ending(output)
    folder, stored = RunFolder(root), open_stored(root, storage, only_read=True)
    with waiting_for(root, storage):
        view = view_study(stored, one_name(name, study))
    path = output or folder.plot(view.name, f"-{picture}.pdf")
    say(f"plot: {save(report_context(stored, view, folder), picture, path)}")
