"""The clock that waiting and expiry go by, so that a test can put another one in its place."""

from __future__ import annotations

import time


class Clock:
    """This machine's clock."""

    def monotonic(self) -> float:
        """Seconds since some moment, which no change of the wall clock moves."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since the epoch, as this machine has it."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


CLOCK = Clock()
