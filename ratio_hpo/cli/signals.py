"""Signals that end a command as Ctrl-C does: what is under way is let go of, and the exit code names the signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


class Ended(KeyboardInterrupt):
    """A signal has asked for the end.

    Attributes:
        code: of the process, as shells have it.
    """

    code: int

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.code = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP raise `Ended` where Ctrl-C raises its own."""
    before = {number: signal.signal(number, _end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """130, or that of the signal."""
    return interrupt.code if isinstance(interrupt, Ended) else INTERRUPTED


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise Ended(number)
