"""Output of all commands: data on stdout, messages on stderr."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ratio_hpo.cli.deadline import Deadline
from ratio_hpo.core.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ratio_hpo.study.storage import Storage
    from ratio_hpo.study.view import StudyView


RECOMMENDED = "* the recommended trial"

PATIENCE = 5.0
"""Seconds that a short command waits for a database lock."""


def open_stored(root: Path, storage: str | None, *, only_read: bool = False) -> Storage:
    """Open the storage given by the options."""
    from ratio_hpo.study.storage import check_writable, default_url, open_storage

    with waiting_for(root, storage):
        opened = open_storage(storage or default_url(root), create=False, only_read=only_read, patience=PATIENCE)
        if not only_read:
            check_writable(opened)  # wait for a lock once, not at every write
    return opened


def waiting_for(root: Path, storage: str | None) -> Deadline:
    """Return a deadline for a block that reads the storage given by the options."""
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.core.urls import shown_url

    return Deadline(str(RunFolder(root).studies) if storage is None else shown_url(storage))


def open_view(root: Path, storage: str | None, study: str | None) -> StudyView:
    """Read the study given by the options, for a command that only reads it and exits."""
    from ratio_hpo.study.view import view_study

    gc.disable()  # the process ends soon, and the objects of a large study all stay alive
    stored = open_stored(root, storage, only_read=True)
    with waiting_for(root, storage):
        view = view_study(stored, study)
    gc.freeze()
    return view


def fail(message: str, code: int) -> NoReturn:
    """Print the message to stderr and exit with the code."""
    from ratio_hpo.core.errors import printable

    for line in printable(message).splitlines():
        click.echo(f"ratio-hpo: {line}", err=True)
    sys.exit(code)


def print_json(content: Any) -> None:
    """Print JSON to stdout, with numbers rounded to significant digits."""
    from ratio_hpo.core.json_format import rounded

    click.echo(json.dumps(rounded(content), indent=2, ensure_ascii=False, allow_nan=False))


def marked(number: int, recommended: bool) -> str:
    """Return the number of a trial, marked with an asterisk if it is recommended."""
    return f"{number}*" if recommended else f"{number} "


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), fold: bool = False
) -> None:
    """Print a table to stdout; no cell is truncated.

    Args:
        right: names of right-aligned columns.
        fold: in a terminal, wrap the last column to the terminal's width.
    """
    table = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(name), *(len(row[k]) for row in table)) if table else len(name) for k, name in enumerate(columns)]
    lines = [list(columns)]
    last_width = widths[-1]
    if fold and sys.stdout.isatty():
        free = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
        last_width = min(widths[-1], max(free, len(columns[-1])))
    for row in table:
        first, *others = (
            textwrap.wrap(row[-1], last_width, break_on_hyphens=False) if len(row[-1]) > last_width else [row[-1]]
        )
        lines += [[*row[:-1], first], *([*[""] * (len(row) - 1), other] for other in others)]
    for line in lines:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, line, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())
