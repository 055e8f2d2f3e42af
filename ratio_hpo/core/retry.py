"""Calls that outlast a hiccup: tried again, with back-off, while what they need is away, full or held by others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from ratio_hpo.core.clock import CLOCK, Clock

T = TypeVar("T")

FIRST_PAUSE, MAX_PAUSE = 0.1, 5.0
"""Seconds between tries; each is twice the one before."""


def to_stderr(line: str) -> None:
    """Tell whoever looks at this process."""
    print(line, file=sys.stderr)


class RetryWait:
    """The pauses between tries of something that may work again by itself.

    Args:
        what: does not work, for those who are told.
        patience: seconds that it is tried for; 0: once.
        say: is told once when a wait begins, and once when it ends.
    """

    def __init__(
        self, what: str, patience: float, say: Callable[[str], None] | None = None, clock: Clock = CLOCK
    ) -> None:
        self._what, self._patience, self._say, self._clock = what, patience, say, clock
        self._began: float | None = None
        self._pause = FIRST_PAUSE

    def pause(self, reason: str) -> bool:
        """Wait before the next try; False where it was tried for long enough."""
        now = self._clock.monotonic()
        began = now if self._began is None else self._began
        if now - began + self._pause > self._patience:
            return False
        if self._began is None and self._say is not None:
            self._say(f"{self._what}: {reason}; trying again for up to {self._patience:,.0f} s")
        self._began = began
        self._clock.sleep(self._pause)
        self._pause = min(2 * self._pause, MAX_PAUSE)
        return True

    def over(self) -> None:
        """It works."""
        if self._began is not None and self._say is not None:
            self._say(f"{self._what}: back after {self._clock.monotonic() - self._began:,.0f} s")
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
    """What a call gives, once it does.

    Args:
        what: is away, for those who are told.
        passes: whether an error may pass by itself; others are raised at once.
        reason_of: an error in one line.
        patience: seconds that it is tried for; 0: once.
        say: is told once when a wait begins, and once when it ends.

    Raises:
        Exception: the call's own, which does not pass, or has not passed after so long.
    """
    waiting = RetryWait(what, patience, say, clock)
    while True:
        try:
            result = call()
        except Exception as error:  # each store has errors of its own
            if not passes(error) or not waiting.pause(reason_of(error)):
                raise
        else:
            waiting.over()
            return result
