"""The command that shows the front, and how sure its points are."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

import click

from ratio_hpo.cli.options import reading_options
from ratio_hpo.cli.printing import RECOMMENDED, marked, open_view, print_json, print_table
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.show.formatting import count, number, say, settings

EVEN = 0.5


@click.command()
@click.option(
    "--png", type=click.Path(path_type=Path, dir_okay=False), help="Where the picture goes.  [default: below --root]"
)
@click.option("--no-picture", is_flag=True, help="Print the table alone.")
@reading_options
def pareto(
    png: Path | None,
    no_picture: bool,
    study: str | None,
    root: Path,
    storage: str | None,
    as_json: bool,
) -> None:
    """The front: what no other trial, stopped anywhere, beats in both cost and score.

    \b
    ratio-hpo pareto
    ratio-hpo pareto --png front.png
    """
    from ratio_hpo.analysis.status import pareto as pareto_of

    if png is not None:
        from ratio_hpo.analysis.plots import check_ending

        check_ending(png)
    view = open_view(root, storage, study)
    content = pareto_of(view)
    print_json(content) if as_json else print_front(content)
    if png is not None or not (as_json or no_picture):
        from ratio_hpo.analysis.plots import Facts, save

        try:
            say(f"picture: {save(Facts(view), 'front', png or RunFolder(root).plot(view.name))}")
        except OSError as error:
            if png is not None:
                raise
            say(f"no picture: {error.filename or root}: {error.strerror}; name a place for it with --png")


def print_front(content: dict[str, Any]) -> None:
    """The front as a table, and what it does not prove."""
    rows = [
        [
            count(point["cost"]),
            number(point["score"]),
            _percent(point["probability"]),
            number(point["ratio"], 2),
            marked(point["trial"], point["recommended"]),
            point["kind"],
            f"{point['stage']} {point['windows']:,}",
            settings(point["params"]),
        ]
        for point in content["points"]
    ]
    mean = f"mean {content['measure']}"
    columns = ["cost", mean, "sure", "ratio", "trial", "kind", "stopped at", "settings"]
    print_table(columns, rows, right=["cost", mean, "sure", "ratio"], fold=True)
    others = [f"trial {m['trial']} at {m['stage']} {m['windows']:,} ({_percent(m['probability'])})"
              for m in content["also_likely"] if m["probability"] >= EVEN]  # fmt: skip
    room = shutil.get_terminal_size().columns
    if others:
        line = f"Measured below the front, but more likely on it than not: {', '.join(others)}."
        click.echo(textwrap.fill(line, room))
    if any(point["recommended"] for point in content["points"]):
        click.echo(RECOMMENDED)
    if any(point["probability"] is not None for point in content["points"]):
        click.echo("sure: how probable it is that a point belongs to the front.")
    if content["points"]:
        click.echo("One training seed: differences between neighbours may be noise.")


def _percent(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.0%}"
