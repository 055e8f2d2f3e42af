"""The end of commands that wait for a storage or a server which does not answer."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType

import click

from ratio_hpo.show.formatting import duration, say

READING, TRACKING = 60.0, 600.0
"""Seconds without an answer after which commands that read, and those that write runs, end."""

FIRST, EVERY = 8.0, 30.0
"""Seconds after which a command says that it waits, and between its saying so again."""

KEY = "ratio_hpo.timeout"
"""Under which a command keeps its `--timeout`."""


class Deadline:
    """Ends the process with one line where what the block waits for shows no life for as long as `--timeout` says.

    A database driver or an HTTP client may wait inside calls that nothing interrupts, so that the process is ended from
    a thread. Nothing may be half-written at any moment of the block: it ends as kill -9 would.

    Args:
        what: it waits for, as people know it.
        remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str = "check that it is reachable, and run the same command again") -> None:
        ctx = click.get_current_context(silent=True)
        self._seconds = float(ctx.meta.get(KEY, READING)) if ctx is not None else READING
        self._what, self._remedy = what, remedy
        self._since = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)

    def alive(self) -> None:
        """Something came of the waiting: it counts from now on again."""
        self._since = time.monotonic()

    def __enter__(self) -> Deadline:
        self.alive()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()

    def _watch(self) -> None:
        since, words = self._since, FIRST
        while not self._done.wait(max(min(words, self._seconds) - (time.monotonic() - self._since), 0.05)):
            if since != self._since:
                since, words = self._since, FIRST
            waited = time.monotonic() - since
            if waited >= self._seconds:
                click.echo(
                    f"ratio-hpo: {self._what}: no answer for {duration(self._seconds)} (--timeout); {self._remedy}",
                    err=True,
                )
                sys.stderr.flush()
                os._exit(1)
            if waited >= words:
                words += EVERY
                say(f"waiting for {self._what} ({duration(waited)}; ends after {duration(self._seconds)})")
