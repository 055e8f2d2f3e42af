"""The command that asks the response model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ratio_hpo.cli.options import Finite, reading_options
from ratio_hpo.cli.printing import open_view, print_json, print_table
from ratio_hpo.show.formatting import count, number, settings

EVERY = 4
"""Of the ratios that the model is asked at, those that are printed."""


@click.command()
@click.option("--at", "given", multiple=True, metavar="KEY=VALUE",
              help="Another parameter: --at learning_rate=2e-4.  [default: the recommended trial's]")  # fmt: skip
@click.option("--weights", "weighted", multiple=True, metavar="LANGUAGE=WEIGHT",
              help="Also the best ratio for so weighted languages: --weights sw=2.")  # fmt: skip
@click.option("--max-cost", type=Finite(0, min_open=True), help="Also the best at a cost of at most so much.")
@reading_options
def ask(
    given: Sequence[str], weighted: Sequence[str], max_cost: float | None,
    study: str | None, root: Path, storage: str | None, as_json: bool,
) -> None:  # fmt: skip
    """What the response model says: score by ratio, best ratios, speed, importance, where to look next.

    Bands hold four of five of what one more run would score there, its luck included; intervals of ratios four of five
    of what they may be.

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
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or not value:
            raise click.UsageError(f"{where} needs KEY=VALUE, but got {word!r}")
        found[key] = value
    return found


def _value(text: str) -> Any:
    """A number where it is one."""
    try:
        return float(text) if not text.isdecimal() else int(text)
    except ValueError:
        return text


def _number(key: str, text: str) -> float:
    value = _value(text)
    if isinstance(value, str) or not 0 <= value < float("inf"):
        raise click.UsageError(f"--weights needs a number from 0 on for {key}, but got {text!r}")
    return float(value)


def _print(content: Mapping[str, Any]) -> None:
    measure = content["measure"]
    click.echo(
        f"{content['study']}: what its response model says, under {settings(content['settings']) or 'no others'}"
    )
    click.echo(f"({content['along']})\n")
    rows = [
        [number(point["ratio"], 2), number(point["mean"]), _interval(point)]
        for k, point in enumerate(content["curve"])
        if k % EVERY == 0
    ]
    print_table(["ratio", measure, "4 of 5 runs"], rows, right=["ratio", measure])
    click.echo()
    rows = [
        [name, number(best["ratio"], 2), _interval(best, 2), number(best["score"])]
        for name, best in content["best"].items()
    ]
    print_table(["best ratio for", "", "4 of 5", measure], rows, right=["", measure])
    click.echo()
    helps = content["stops_helping"]
    click.echo(
        "more non-English helps all the way" if helps is None
        else f"from a ratio of {helps:.2f} on, a further 0.1 gains with a probability under one half"
    )  # fmt: skip
    speed = content["speed"]
    if speed is not None:
        click.echo(
            f"ratio {speed['ratio']:.2f} takes {speed['times']:.1f} times less training than English alone to reach its"
        )
        click.echo(f"score (4 of 5: {speed['low']:.1f} to {speed['high']:.1f}; 0: it never does)")
    cheap = content["best_under_cost"]
    if cheap is not None:
        click.echo(f"best at that cost: {number(cheap['mean'])} ({_interval(cheap)}) at {count(cheap['cost'])}, with")
        click.echo(f"  {_params(cheap['params'])}")
    click.echo()
    rows = [[each["parameter"], number(each["part"], 2), _interval(each, 2)] for each in content["importance"]]
    print_table(["makes of the spread", "part", "4 of 5"], rows, right=["part"])
    teaches = content["most_informative"]
    click.echo(f"\none more trial would teach most ({teaches['part']:.0%} of the doubt about the curve) at")
    click.echo(f"  {_params(teaches['params'])}")


def _params(params: Mapping[str, Any]) -> str:
    shares = params.get("shares")
    mixture = f"ratio {params['ratio']:.2f}" if "ratio" in params else ""
    if shares:
        mixture = " ".join(f"{name} {share:.2f}" for name, share in shares.items() if share >= 0.005)
    return f"{mixture} {settings(dict(params))}".strip()


def _interval(band: Mapping[str, float], digits: int = 3) -> str:
    return f"{band['low']:.{digits}f} to {band['high']:.{digits}f}"
