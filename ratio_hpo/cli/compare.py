"""Trials or studies side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ratio_hpo.cli.options import is_number, json_option, reading_timeout, writing_options
from ratio_hpo.cli.printing import open_stored, print_json, print_table, waiting_for


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="TRIAL_OR_STUDY...")
@click.option("--all", "show_all", is_flag=True, help="Show equal rows too.")
@writing_options
@reading_timeout
@json_option
def compare(
    names: tuple[str, ...], show_all: bool, study: str | None, root: Path, storage: str | None, as_json: bool
) -> None:
    """Two or more trials or studies side by side; rows that are equal are left out.

    Trials are numbers of --study, or STUDY/NUMBER.

    \b
    ratio-hpo compare 0 3 15
    ratio-hpo compare polyglot-world-default/15 polyglot-world-full/12
    ratio-hpo compare polyglot-world-default polyglot-world-full
    """
    from ratio_hpo.analysis.compare import compare_studies, compare_trials
    from ratio_hpo.study.view import StudyView, view_study

    if len(names) < 2:
        raise click.UsageError(f"compare needs two or more trials or studies, but got {len(names)}; name another one")
    stored = open_stored(root, storage, only_read=True)
    views: dict[str | None, StudyView] = {}

    def view(name: str | None) -> StudyView:
        if name not in views:
            with waiting_for(root, storage):
                views[name] = view_study(stored, name)
        return views[name]

    places = [_place(name, study) for name in names]
    if len({number is None for _, number in places}) > 1:
        raise click.UsageError("compare needs trials alone or studies alone, but got both; run it twice")
    if places[0][1] is None:
        content = compare_studies([view(name) for name, _ in places])
    else:
        content = compare_trials([(view(name), view(name).trial(int(number or 0))) for name, number in places])
    if as_json:
        print_json(content)
        return
    shown = [row for row in content["rows"] if show_all or len({str(value) for value in row["values"]}) > 1]
    rows = [[row["key"], *(_cell(value) for value in row["values"])] for row in shown]
    print_table([content["compared"], *content["columns"]], rows, right=content["columns"])
    if len(shown) < len(content["rows"]):
        click.echo(f"{len(content['rows']) - len(shown)} row(s) are equal; --all shows them")


def _place(name: str, study: str | None) -> tuple[str | None, int | None]:
    """The study and the trial's number that a name means; no number: a study."""
    front, _, last = name.rpartition("/")
    if is_number(last):
        return front or study, int(last)
    return name, None


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
