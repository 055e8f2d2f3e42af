"""The commands that show predictions of the response model: `pareto` and `ask`."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratio_hpo.cli.options import Finite, reading_options
from ratio_hpo.cli.printing import RECOMMENDED, marked, open_view, print_json, print_table, say_plot
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.report.formatting import count, number, settings

if TYPE_CHECKING:
    from ratio_hpo.analysis.query_results import BestRatio, BestUnderCost, Importance, ModelAnswers, RatioPrediction
    from ratio_hpo.analysis.recommend import ParetoFront
    from ratio_hpo.core.trial import Params

EVERY = 4
"""Print one of every so many evaluated ratios."""

EVEN = 0.5
"""Lowest probability at which a point measured below the front is named."""


@click.command()
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False),
              help="File to write the plot to.  [default: a file in --root]")  # fmt: skip
@click.option("--no-plot", is_flag=True, help="Print only the table.")
@reading_options
def pareto(png: Path | None, no_plot: bool, study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
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
    if png is not None or not (as_json or no_plot):
        from ratio_hpo.report.plots import Facts, save

        default = RunFolder(root).plot(view.name)
        say_plot(lambda path: save(Facts(view), "front", path), png, default)


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


@click.command()
@click.option("--at", "given", multiple=True, metavar="KEY=VALUE",
              help="Set a parameter: --at learning_rate=2e-4.  [default: from the recommended trial]")  # fmt: skip
@click.option("--weights", "weighted", multiple=True, metavar="LANGUAGE=WEIGHT",
              help="Also show the best ratio for weighted languages: --weights sw=2. May be repeated.")  # fmt: skip
@click.option("--max-cost", type=Finite(0, min_open=True), help="Also show the best configuration up to this cost.")
@reading_options
def ask(
    given: Sequence[str], weighted: Sequence[str], max_cost: float | None,
    study: str | None, root: Path, storage: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Query the response model: score by ratio, best ratios, speed-up, importance, next trial.

    Score intervals are 80 % predictive intervals for one new run and include the run effect. Intervals of ratios are
    80 % posterior intervals.

    \b
    ratio-hpo ask
    ratio-hpo ask --at learning_rate=2e-4 --at intermediate_steps=400
    ratio-hpo ask --weights sw=2 --weights ko=1 --max-cost 2000
    """
    from ratio_hpo.analysis.model_queries import ModelQueries

    weights = {key: _number(key, value) for key, value in _pairs(weighted, "--weights").items()}
    at = {key: _value(value) for key, value in _pairs(given, "--at").items()}
    content = ModelQueries(open_view(root, storage, study), at).all(weights, max_cost)
    print_json(content) if as_json else _print(content)


def _pairs(words: Sequence[str], where: str) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or not value:
            raise click.UsageError(f"{where} needs KEY=VALUE, but got {word!r}")
        pairs[key] = value
    return pairs


def _value(text: str) -> int | float | str:
    """Return the text as a number if it is one, else unchanged."""
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


def _number(key: str, text: str) -> float:
    value = _value(text)
    if isinstance(value, str) or not 0 <= value < float("inf"):
        raise click.UsageError(f"--weights needs a number >= 0 for {key}, but got {text!r}")
    return float(value)


def _print(content: ModelAnswers) -> None:
    measure = content.measure
    click.echo(f"{content.study}: response model at {settings(content.settings) or 'no other settings'}")
    click.echo(f"({content.along})\n")
    rows = [[number(point.ratio, 2), number(point.mean), _interval(point)] for point in content.curve[::EVERY]]
    print_table(["ratio", measure, "80 % of runs"], rows, right=["ratio", measure])
    click.echo()
    rows = [
        [name, number(best.ratio, 2), _interval(best, 2), number(best.score)] for name, best in content.best.items()
    ]
    print_table(["best ratio for", "", "80 % interval", measure], rows, right=["", measure])
    click.echo()
    turning_point = content.stops_helping
    click.echo(
        "a higher ratio helps over the whole range" if turning_point is None
        else f"from ratio {turning_point:.2f} on, increasing the ratio by 0.1 helps with a probability below 50 %"
    )  # fmt: skip
    speed = content.speed
    if speed is not None:
        click.echo(f"ratio {speed.ratio:.2f} needs {speed.times:.1f} times less training to reach the score of the")
        click.echo(f"reference language alone (80 %: {speed.low:.1f} to {speed.high:.1f}; 0: never reached)")
    cheap = content.best_under_cost
    if cheap is not None:
        click.echo(f"best up to that cost: {number(cheap.mean)} ({_interval(cheap)}) at cost {count(cheap.cost)}, with")
        click.echo(f"  {_params(cheap.params)}")
    click.echo()
    rows = [[effect.parameter, number(effect.part, 2), _interval(effect, 2)] for effect in content.importance]
    print_table(["importance", "part", "80 % interval"], rows, right=["part"])
    informative = content.most_informative
    click.echo(f"\nmost informative next trial (removes {informative.part:.0%} of the variance of the curve):")
    click.echo(f"  {_params(informative.params)}")


def _params(params: Params) -> str:
    shares = params.get("shares")
    mixture = f"ratio {params['ratio']:.2f}" if "ratio" in params else ""
    if shares:
        mixture = " ".join(f"{name} {share:.2f}" for name, share in shares.items() if share >= 0.005)
    return f"{mixture} {settings(params)}".strip()


def _interval(band: RatioPrediction | BestRatio | BestUnderCost | Importance, digits: int = 3) -> str:
    return f"{band.low:.{digits}f} to {band.high:.{digits}f}"


def _percent(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.0%}"
