"""The `compare` command, which shows trials or studies side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ratio_hpo.cli.options import is_number, json_option, reading_timeout, writing_options
from ratio_hpo.cli.printing import open_stored, print_json, print_table, waiting_for


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

    entrants = [_parse_name(name, study) for name in names]
    if len({number is None for _, number in entrants}) > 1:
        raise click.UsageError("compare needs only trials or only studies, but got both; run it twice")
    if entrants[0][1] is None:
        content = compare_studies([view(name) for name, _ in entrants])
    else:
        content = compare_trials([(view(name), view(name).trial(int(number or 0))) for name, number in entrants])
    if as_json:
        print_json(content)
        return
    shown = [row for row in content["rows"] if show_all or len({str(value) for value in row["values"]}) > 1]
    rows = [[row["key"], *(_cell(value) for value in row["values"])] for row in shown]
    print_table([content["compared"], *content["columns"]], rows, right=content["columns"])
    if len(shown) < len(content["rows"]):
        click.echo(f"{len(content['rows']) - len(shown)} row(s) with equal values are hidden; --all shows them")


def _parse_name(name: str, study: str | None) -> tuple[str | None, int | None]:
    """Return the study and the trial number that a name refers to; the number is None if it names a study."""
    prefix, _, last = name.rpartition("/")
    if is_number(last):
        return prefix or study, int(last)
    return name, None


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
