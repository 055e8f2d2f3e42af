"""Numbers and messages in words, the same everywhere: data on stdout, messages on stderr."""

from __future__ import annotations

from typing import Any

import click

from ratio_hpo.core.errors import printable
from ratio_hpo.core.option_names import spelled


def say(line: str) -> None:
    """A message on stderr."""
    click.echo(printable(spelled(line)), err=True)


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table; `-` for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """A number of windows for a table."""
    return "-" if value is None else f"{value:,.0f}"


SHORT = {"learning_rate": "lr", "intermediate_steps": "steps", "target_learning_rate": "target_lr"}
"""How parameters are called where there is little room."""


def settings(params: dict[str, Any]) -> str:
    """Parameters beside the mixture, in a few words."""
    shown = {SHORT.get(key, key): value for key, value in params.items() if key not in ("ratio", "shares")}
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in shown.items()
    )


def duration(seconds: float) -> str:
    """Seconds in words that suit their size."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
