"""Output of all commands: data on stdout, messages on stderr."""

from __future__ import annotations

import gc
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ratio_hpo.cli.deadline import Deadline
from ratio_hpo.core.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ratio_hpo.storage.connect import Storage
    from ratio_hpo.study.snapshot import StudyView


RECOMMENDED = "* the recommended trial"

PATIENCE = 5.0
"""Seconds that a short command waits for a database lock."""


def open_stored(root: Path, storage: str | None, *, only_read: bool = False) -> Storage:
    """Open the storage given by the options."""
    from ratio_hpo.storage.connect import check_writable, default_url, open_storage

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
    from ratio_hpo.study.snapshot import view_study

    gc.disable()  # the process ends soon, and the objects of a large study all stay alive
    stored = open_stored(root, storage, only_read=True)
    with waiting_for(root, storage):
        view = view_study(stored, study)
    gc.freeze()
    return view


def fail(message: str, code: int) -> NoReturn:
    """Print the message to stderr and exit with the code."""
    for line in printable(message).splitlines():
        click.echo(f"ratio-hpo: {line}", err=True)
    sys.exit(code)


def print_json(content: Any) -> None:
    """Print a result or JSON content to stdout, with numbers rounded to significant digits."""
    from ratio_hpo.core.json_format import Result, rounded

    content = content.to_json() if isinstance(content, Result) else content
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
        fold: in a terminal, wrap columns of text so that the table fits.
    """
    table = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(line[k]) for line in (columns, *table)) for k in range(len(columns))]
    terminal = shutil.get_terminal_size().columns
    if fold and sys.stdout.isatty() and sum(widths) + 2 * (len(widths) - 1) > terminal:
        _print_folded(columns, table, right, terminal)
        return
    alignments = [">" if name in right else "<" for name in columns]
    for line in (columns, *table):
        cells = (f"{cell:{align}{width}}" for cell, align, width in zip(line, alignments, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_folded(columns: Sequence[str], table: Sequence[Sequence[str]], right: Sequence[str], width: int) -> None:
    """Print a table whose text columns are wrapped, so that it fits into the width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    folded = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True, header_style="")
    for name in columns:
        numeric = name in right
        folded.add_column(Text(name), justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in table:
        folded.add_row(*map(Text, row))
    Console(width=width, highlight=False, markup=False, color_system=None).print(folded)


def say_plot(write: Callable[[Path], Path], named: Path | None, default: Path) -> None:
    """Write a plot and print its path.

    Args:
        write: writes the plot to a file and returns its path.
        named: file that the user named; None writes to `default`, and only says why if that fails.

    Raises:
        OSError: the named file cannot be written.
    """
    from ratio_hpo.report.formatting import say

    try:
        say(f"plot: {write(named or default)}")
    except OSError as error:
        if named is not None:
            raise
        say(f"no plot: {error.filename or default}: {error.strerror}; name another file with --png")
