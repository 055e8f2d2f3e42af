"""Formatting of numbers and messages. Data goes to stdout, messages go to stderr."""

from __future__ import annotations

from collections.abc import Mapping

import click

from ratio_hpo.core.errors import printable, spelled
from ratio_hpo.core.trial import Params


def say(line: str) -> None:
    """Print a message on stderr."""
    click.echo(printable(spelled(line)), err=True)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number for a table; `-` for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """Return a number of windows for a table; `-` for None."""
    return "-" if value is None else f"{value:,.0f}"


def counted(counts: Mapping[str, int]) -> str:
    """Return the number of trials in each state that has any."""
    return ", ".join(f"{trials} {state}" for state, trials in counts.items() if trials)


SHORT = {"learning_rate": "lr", "intermediate_steps": "steps", "target_learning_rate": "target_lr"}
"""Short names of parameters for narrow tables."""


def settings(params: Params) -> str:
    """Return the parameters other than the mixture as short text."""
    shown = {SHORT.get(key, key): value for key, value in params.items() if key not in ("ratio", "shares")}
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in shown.items()
    )


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
