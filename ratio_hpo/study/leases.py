"""Leases: whose a running trial is.

A lease names host, boot, process and the time the process started, and expires unless it is renewed. A process
that is dead on this host loses its leases at once; any other one loses them when they expire.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

TERM = 60.0
"""Seconds until a lease expires."""

RENEWAL = 15.0
"""Seconds between renewals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claim on a running trial.

    Attributes:
        host: name of the host, with its process namespace.
        boot: id of the host's boot.
        pid, started: process and when it started, in clock ticks since boot (elsewhere in seconds since the epoch).
        expires: in seconds since the epoch.
    """

    host: str
    boot: str
    pid: int
    started: float
    expires: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def is_live(self, now: float | None = None) -> bool:
        """Whether its holder may still be working."""
        if (time.time() if now is None else now) >= self.expires:
            return False
        if (self.host, self.boot) != (_host(), _boot()):
            return True
        return _alive(self.pid, self.started)


def own_lease() -> Lease:
    """A fresh lease of this process."""
    return Lease(host=_host(), boot=_boot(), pid=os.getpid(), started=_started(), expires=time.time() + TERM)


def read_lease(content: dict[str, Any] | None) -> Lease | None:
    """The lease in a trial's attribute; None where it is free."""
    return Lease(**content) if content else None


def _alive(pid: int, started: float) -> bool:
    try:
        return _start_of(pid) == started and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@cache
def _host() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = "pid"
    return f"{socket.gethostname()}/{namespace}"


@cache
def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.is_file() else str(int(psutil.boot_time()))


def _started() -> float:
    return _start_of(os.getpid())


def _start_of(pid: int) -> float:
    """When a process started: in clock ticks since boot where the kernel tells, which no change of the clock moves.

    Raises:
        psutil.NoSuchProcess: there is none of that number.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        return float(stat.read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return psutil.Process(pid).create_time()
