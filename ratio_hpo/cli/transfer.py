"""The `transfer` command, which shows the gain of each mixture over no intermediate training."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import click

from ratio_hpo.cli.options import reading_options
from ratio_hpo.cli.printing import open_view, print_json, print_table
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.show.formatting import number, say


@click.command()
@click.option(
    "--png",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write the plot to.  [default: a file in --root]",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV to stdout, one row per trial, target and language.")
@click.option("--no-picture", is_flag=True, help="Print only the table.")
@reading_options
def transfer(
    png: Path | None, as_csv: bool, no_picture: bool, study: str | None, root: Path, storage: str | None, as_json: bool
) -> None:
    """Show the gain of every trial over no intermediate training, by target and language.

    Needs the baseline `none`. Each gain is measured with one seed; * marks gains beyond 1.96 standard errors.

    \b
    ratio-hpo transfer
    ratio-hpo transfer --csv > transfer.csv
    """
    from ratio_hpo.analysis.plots import check_ending
    from ratio_hpo.analysis.transfer import plot_transfer
    from ratio_hpo.analysis.transfer import transfer as transfer_of
    from ratio_hpo.training.items import ItemStore

    if as_csv and as_json:
        raise click.UsageError("--csv and --json both write to stdout; use one of them")
    if png is not None:
        check_ending(png)
    view = open_view(root, storage, study)
    content = transfer_of(view, ItemStore(RunFolder(root).items))
    if as_json:
        print_json(content)
    elif as_csv:
        click.echo(_csv(content), nl=False)
    else:
        _print(content)
    if png is not None or not (as_json or as_csv or no_picture):
        try:
            default = RunFolder(root).plots / f"{view.name}-transfer.png"
            say(f"plot: {plot_transfer(content, png or default)}")
        except OSError as error:
            if png is not None:
                raise
            say(f"no plot: {error.filename or root}: {error.strerror}; name another file with --png")


def _print(content: dict[str, Any]) -> None:
    columns = [(score["target"], score["language"]) for score in content["baseline"]["scores"]]
    names = [f"{target} {language}" for target, language in columns]
    base = [number(score["score"]) for score in content["baseline"]["scores"]]
    rows = [[str(content["baseline"]["trial"]), "none: score", "-", *base]]
    for trial in content["trials"]:
        gains = {(gain["target"], gain["language"]): gain for gain in trial["gains"]}
        cells = [_cell(gains.get(column)) for column in columns]
        kind = trial["kind"] if trial["state"] == "COMPLETE" else f"{trial['kind']} ({trial['state'].lower()})"
        rows.append([str(trial["trial"]), kind, number(trial["ratio"], 2), *cells])
    print_table(["trial", "kind", "ratio", *names], rows, right=["trial", "ratio", *names])
    click.echo(f"gains over none; {content['note']}")


def _cell(gain: dict[str, Any] | None) -> str:
    return "-" if gain is None else f"{gain['gain']:+.3f}{'*' if gain['marked'] else ' '}"


def _csv(content: dict[str, Any]) -> str:
    from ratio_hpo.analysis.tables import csv_cell

    text = io.StringIO()
    keys = ("trial", "kind", "state", "ratio")
    gains = ("target", "language", "score", "gain", "error", "marked")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, *gains])
    for trial in content["trials"]:
        for gain in trial["gains"]:
            writer.writerow(csv_cell(cell) for cell in (*(trial[key] for key in keys), *(gain[key] for key in gains)))
    return text.getvalue()
