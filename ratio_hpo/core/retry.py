"""Retry calls with exponential back-off, by a clock that tests replace."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar


class Clock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; changes of the wall clock do not affect it."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch, by this machine's wall clock."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""
        time.sleep(seconds)


CLOCK = Clock()


T = TypeVar("T")

FIRST_PAUSE, MAX_PAUSE = 0.1, 5.0
"""First and longest pause between attempts, in seconds; each pause is twice the previous one."""


def to_stderr(line: str) -> None:
    """Print a line on stderr."""
    print(line, file=sys.stderr)


class RetryWait:
    """The pauses between attempts after transient errors.

    Args:
        what: Name of the resource, for messages.
        patience: How long to keep retrying, in seconds; 0: no retry.
        say: Receives one message when waiting begins and one when it ends.
        clock: Clock used for waiting.
    """

    def __init__(
        self, what: str, patience: float, say: Callable[[str], None] | None = None, clock: Clock = CLOCK
    ) -> None:
        self._what, self._patience, self._say, self._clock = what, patience, say, clock
        self._began: float | None = None
        self._pause = FIRST_PAUSE

    def pause(self, reason: str) -> bool:
        """Wait before the next attempt; return False, without waiting, if `patience` is exhausted."""
        now = self._clock.monotonic()
        began = now if self._began is None else self._began
        if now - began + self._pause > self._patience:
            return False
        if self._began is None and self._say is not None:
            self._say(f"{self._what}: {reason}; retrying for up to {self._patience:,.0f} s")
        self._began = began
        self._clock.sleep(self._pause)
        self._pause = min(2 * self._pause, MAX_PAUSE)
        return True

    def over(self) -> None:
        """Record a successful attempt."""
        if self._began is not None and self._say is not None:
            self._say(f"{self._what}: available again after {self._clock.monotonic() - self._began:,.0f} s")
        self._began, self._pause = None, FIRST_PAUSE


def retry_call(
    call: Callable[[], T],
    *,
    what: str,
    passes: Callable[[Exception], bool],
    reason_of: Callable[[Exception], str],
    patience: float,
    say: Callable[[str], None] | None = None,
    clock: Clock = CLOCK,
) -> T:
    """Return the result of a call, which is retried after transient errors.

    Args:
        call: The function to call.
        what: Name of the resource, for messages.
        passes: Returns whether an error may be transient; other errors are raised at once.
        reason_of: Returns an error's reason in one line.
        patience: How long to keep retrying, in seconds; 0: no retry.
        say: Receives one message when waiting begins and one when it ends.
        clock: Clock used for waiting.

    Raises:
        Exception: The error of the call, if it is permanent or `patience` is exhausted.
    """
    waiting = RetryWait(what, patience, say, clock)
    while True:
        try:
            result = call()
        except Exception as error:  # each store raises custom exceptions
            if not passes(error) or not waiting.pause(reason_of(error)):
                raise
        else:
            waiting.over()
            return result
