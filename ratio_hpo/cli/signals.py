"""Signals that end a command like Ctrl-C: running work is released, and the exit code names the signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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
