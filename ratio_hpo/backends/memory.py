"""Whether the kernel has killed a process of this machine for want of memory."""

from __future__ import annotations

from pathlib import Path

COUNTERS = Path("/proc/vmstat")
"""Where Linux counts such kills, those within a container's limit too."""


class MemoryWatch:
    """Knows how many there were at the last look."""

    def __init__(self) -> None:
        self._kills = _kills()

    def has_killed(self) -> bool:
        """Whether there was one since the last look; where nobody counts them, none is seen."""
        before, self._kills = self._kills, _kills()
        return self._kills > before


def _kills() -> int:
    try:
        lines = COUNTERS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
