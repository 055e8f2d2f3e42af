"""What all commands print with: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ratio_hpo.study.storage import Storage
    from ratio_hpo.study.view import StudyView


def open_stored(root: Path, storage: str | None) -> Storage:
    """The storage that the options mean."""
    from ratio_hpo.study.storage import default_url, open_storage

    return open_storage(storage or default_url(root), create=False)


def open_view(root: Path, storage: str | None, study: str | None) -> StudyView:
    """The study that the options mean."""
    from ratio_hpo.study.view import view_study

    return view_study(open_stored(root, storage), study)


def fail(message: str, code: int) -> NoReturn:
    """Print the message to stderr and leave."""
    for line in message.splitlines():
        click.echo(f"ratio-hpo: {line}", err=True)
    sys.exit(code)


def say(line: str) -> None:
    """A message on stderr."""
    click.echo(line, err=True)


def print_json(content: Any) -> None:
    """JSON on stdout."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table on stdout; columns named in `right` are set to the right."""
    widths = [max(len(name), *(len(row[k]) for row in rows)) if rows else len(name) for k, name in enumerate(columns)]
    for row in [columns, *rows]:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table; `-` for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """A number of windows for a table."""
    return "-" if value is None else f"{value:,.0f}"


def settings(params: dict[str, Any]) -> str:
    """Parameters beside the mixture, in a few words."""
    shown = {key: value for key, value in params.items() if key not in ("ratio", "shares")}
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in shown.items()
    )


def duration(seconds: float) -> str:
    """Seconds in words that suit their size."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
