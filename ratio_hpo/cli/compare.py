"""The `compare` command, which shows trials or studies side by side."""

from __future__ import annotations

import csv
import sys
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratio_hpo.cli.options import is_number, json_option, reading_options, reading_timeout, writing_options
from ratio_hpo.cli.printing import open_stored, open_view, print_json, print_table, say_plot, waiting_for
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.report.formatting import number

if TYPE_CHECKING:
    from ratio_hpo.analysis.transfer import Gain, Transfer


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="TRIAL_OR_STUDY...")
@click.option("--all", "show_all", is_flag=True, help="Show rows with equal values too.")
@writing_options
@reading_timeout
@json_option
def compare(
    names: tuple[str, ...], show_all: bool, study: str | None, root: Path, storage: str | None, as_json: bool
) -> None:
    """Compare two or more trials or studies side by side. Rows with equal values are omitted.

    Name a trial by its number in --study, or as STUDY/NUMBER.

    \b
    ratio-hpo compare 0 3 15
    ratio-hpo compare polyglot-world-default/15 polyglot-world-full/12
    ratio-hpo compare polyglot-world-default polyglot-world-full
    """
    from ratio_hpo.analysis.compare import compare_studies, compare_trials
    from ratio_hpo.study.snapshot import StudyView, view_study

    if len(names) < 2:
        raise click.UsageError(f"compare needs two or more trials or studies, but got {len(names)}; name another one")
    stored = open_stored(root, storage, only_read=True)

    @cache
    def view(name: str | None) -> StudyView:
        with waiting_for(root, storage):
            return view_study(stored, name)

    entrants = [_parse_name(name, study) for name in names]
    if len({number is None for _, number in entrants}) > 1:
        raise click.UsageError("compare needs only trials or only studies, but got both; run it twice")
    if entrants[0][1] is None:
        result = compare_studies([view(name) for name, _ in entrants])
    else:
        result = compare_trials([(view(name), view(name).trial(int(number or 0))) for name, number in entrants])
    if as_json:
        print_json(result)
        return
    rows = [row for row in result.rows if show_all or len(set(map(str, row.values))) > 1]
    cells = [[row.key, *map(_cell, row.values)] for row in rows]
    print_table([result.compared, *result.columns], cells, right=result.columns)
    if len(rows) < len(result.rows):
        click.echo(f"{len(result.rows) - len(rows)} row(s) with equal values are hidden; --all shows them")


def _parse_name(name: str, study: str | None) -> tuple[str | None, int | None]:
    """Return the study and the trial number that a name refers to; the number is None if it names a study."""
    prefix, _, last = name.rpartition("/")
    if is_number(last):
        return prefix or study, int(last)
    return name, None


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "-" if value is None else str(value)


@click.command()
@click.option(
    "--png",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write the plot to.  [default: a file in --root]",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV to stdout, one row per trial, target and language.")
@click.option("--no-plot", is_flag=True, help="Print only the table.")
@reading_options
def transfer(
    png: Path | None, as_csv: bool, no_plot: bool, study: str | None, root: Path, storage: str | None, as_json: bool
) -> None:
    """Show the gain of every trial over no intermediate training, by target and language.

    Needs the baseline `none`. Each gain is measured with one seed; * marks gains beyond 1.96 standard errors.

    \b
    ratio-hpo transfer
    ratio-hpo transfer --csv > transfer.csv
    """
    from ratio_hpo.analysis import transfer as analysis
    from ratio_hpo.report.plots import check_ending
    from ratio_hpo.training.items import ItemStore

    if as_csv and as_json:
        raise click.UsageError("--csv and --json both write to stdout; use one of them")
    if png is not None:
        check_ending(png)
    view = open_view(root, storage, study)
    result = analysis.transfer(view, ItemStore(RunFolder(root).items))
    if as_json:
        print_json(result)
    elif as_csv:
        _print_csv(result)
    else:
        _print_transfer(result)
    if png is not None or not (as_json or as_csv or no_plot):
        from ratio_hpo.report.plots.transfer import plot_transfer

        default = RunFolder(root).plots / f"{view.name}-transfer.png"
        say_plot(lambda path: plot_transfer(result, path), png, default)


def _print_transfer(result: Transfer) -> None:
    names = [f"{score.target} {score.language}" for score in result.baseline.scores]
    rows = [[str(result.baseline.trial), "none: score", "-", *(number(s.score) for s in result.baseline.scores)]]
    for trial in result.trials:
        cells = {f"{gain.target} {gain.language}": _gain_cell(gain) for gain in trial.gains}
        kind = trial.kind if trial.state == "COMPLETE" else f"{trial.kind} ({trial.state.lower()})"
        rows.append([str(trial.trial), kind, number(trial.ratio, 2), *(cells.get(name, "-") for name in names)])
    print_table(["trial", "kind", "ratio", *names], rows, right=["trial", "ratio", *names])
    click.echo(f"gains over none; {result.note}")


def _gain_cell(gain: Gain) -> str:
    return f"{gain.gain:+.3f}{'*' if gain.marked else ' '}"


def _print_csv(result: Transfer) -> None:
    from ratio_hpo.analysis.tables import csv_cell

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["trial", "kind", "state", "ratio", "target", "language", "score", "gain", "error", "marked"])
    for trial in result.trials:
        for gain in trial.gains:
            cells = (trial.trial, trial.kind, trial.state, trial.ratio, *astuple(gain))
            writer.writerow(map(csv_cell, cells))
