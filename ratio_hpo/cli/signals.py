"""Signals that end a command as Ctrl-C does: what is under way is let go of, and the exit code names the signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[list[int]]:
    """While the block runs, SIGTERM and SIGHUP raise `KeyboardInterrupt`, as Ctrl-C does.

    Yields:
        The signals that came, for the exit code: libraries on the way raise interrupts of their own.
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
    """Of an interrupted command, as shells have it: that of the first signal, or that of Ctrl-C."""
    return 128 + (received[0] if received else signal.SIGINT)
