"""Detect processes that the kernel killed because the machine ran out of memory."""

from __future__ import annotations

from pathlib import Path

COUNTERS = Path("/proc/vmstat")
"""Where Linux counts out-of-memory kills, including those by a container's limit."""


class MemoryWatch:
    """Counter of out-of-memory kills on this machine."""

    def __init__(self) -> None:
        self._kills = _kills()

    def has_killed(self) -> bool:
        """Return whether a kill happened since the last call; always False without `/proc/vmstat`."""
        before, self._kills = self._kills, _kills()
        return self._kills > before


def _kills() -> int:
    try:
        lines = COUNTERS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
