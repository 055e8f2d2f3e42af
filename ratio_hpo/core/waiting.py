"""Calls that outlast a hiccup: tried again, with back-off, while what they need is away, full or held by others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ratio_hpo.core.clock import CLOCK, Clock

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between tries; each is twice the one before."""


def tried(
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
    began, pause, waits = clock.monotonic(), FIRST_PAUSE, False
    while True:
        try:
            result = call()
        except Exception as error:  # each store has errors of its own
            if not passes(error) or clock.monotonic() - began + pause > patience:
                raise
            if say is not None and not waits:
                say(f"{what}: {reason_of(error)}; trying again for up to {patience:,.0f} s")
            waits = True
            clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            if say is not None and waits:
                say(f"{what}: back after {clock.monotonic() - began:,.0f} s")
            return result
