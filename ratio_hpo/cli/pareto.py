"""The `pareto` command, which shows the front and how certain its points are."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratio_hpo.cli.options import reading_options
from ratio_hpo.cli.printing import RECOMMENDED, marked, open_view, print_json, print_table
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.report.formatting import count, number, say, settings

if TYPE_CHECKING:
    from ratio_hpo.analysis.recommend import ParetoFront

EVEN = 0.5


@click.command()
@click.option(
    "--png",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write the plot to.  [default: a file in --root]",
)
@click.option("--no-picture", is_flag=True, help="Print only the table.")
@reading_options
def pareto(
    png: Path | None, no_picture: bool, study: str | None, root: Path, storage: str | None, as_json: bool
) -> None:
    """Show the Pareto front: evaluations that no other evaluation of any trial beats in both cost and score.

    \b
    ratio-hpo pareto
    ratio-hpo pareto --png front.png
    """
    from ratio_hpo.analysis.recommend import pareto as pareto_of

    if png is not None:
        from ratio_hpo.report.plots import check_ending

        check_ending(png)
    view = open_view(root, storage, study)
    content = pareto_of(view)
    print_json(content) if as_json else print_front(content)
    if png is not None or not (as_json or no_picture):
        from ratio_hpo.report.plots import Facts, save

        try:
            say(f"plot: {save(Facts(view), 'front', png or RunFolder(root).plot(view.name))}")
        except OSError as error:
            if png is not None:
                raise
            say(f"no plot: {error.filename or root}: {error.strerror}; name another file with --png")


def print_front(content: ParetoFront) -> None:
    """Print the front as a table, with notes on its uncertainty."""
    rows = [
        [
            count(point.cost),
            number(point.score),
            _percent(point.probability),
            number(point.ratio, 2),
            marked(point.trial, point.recommended),
            point.kind,
            f"{point.stage} {point.windows:,}",
            settings(point.params),
        ]
        for point in content.points
    ]
    mean = f"mean {content.measure}"
    columns = ["cost", mean, "P(front)", "ratio", "trial", "kind", "stopped at", "settings"]
    print_table(columns, rows, right=["cost", mean, "P(front)", "ratio"], fold=True)
    likely = [member for member in content.also_likely if member.probability >= EVEN]
    if likely:
        others = ", ".join(f"trial {m.trial} at {m.stage} {m.windows:,} ({_percent(m.probability)})" for m in likely)
        line = f"Measured below the front, but on it with a probability of 50 % or more: {others}."
        click.echo(textwrap.fill(line, shutil.get_terminal_size().columns))
    if any(point.recommended for point in content.points):
        click.echo(RECOMMENDED)
    if any(point.probability is not None for point in content.points):
        click.echo("P(front): probability that the point belongs to the true front.")
    if content.points:
        click.echo("One training seed: differences between neighbouring points may be noise.")


def _percent(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.0%}"
