"""The clock used for waiting and expiry. Tests replace it."""

from __future__ import annotations

import time


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
