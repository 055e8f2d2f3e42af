"""Signals that end a command like Ctrl-C: running work is released, and the exit code names the signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

import click

from ratio_hpo.report.formatting import duration, say

ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[list[int]]:
    """While the block runs, make SIGTERM and SIGHUP raise `KeyboardInterrupt`, as Ctrl-C does.

    Yields:
        The signals received so far, for the exit code; empty if the interrupt came from elsewhere, such as Ctrl-C.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in ENDING}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code(received: list[int]) -> int:
    """Return the exit code of an interrupted command by shell convention, from the first signal or from Ctrl-C."""
    return 128 + (received[0] if received else signal.SIGINT)


READING, TRACKING = 60.0, 600.0
"""Default timeouts in seconds of commands that read a study, and of commands that write runs."""

FIRST, EVERY = 8.0, 30.0
"""Seconds before the first message that a command is waiting, and between further messages."""

KEY = "ratio_hpo.timeout"
"""Key of the value of `--timeout` in click's context."""


class Deadline:
    """A context manager that ends the process if the block makes no progress for `--timeout` seconds.

    A database driver or an HTTP client may block in a call that cannot be interrupted, so a thread ends the process.
    It ends as `kill -9` would; the block must never leave anything half-written.

    Args:
        what: the user-visible name of what the block waits for.
        remedy: what the user can do about it.
    """

    def __init__(self, what: str, remedy: str = "check that it is reachable, and run the same command again") -> None:
        ctx = click.get_current_context(silent=True)
        self._seconds = float(ctx.meta.get(KEY, READING)) if ctx is not None else READING
        self._what, self._remedy = what, remedy
        self._since = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)

    def alive(self) -> None:
        """Report progress: restart the timeout."""
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
