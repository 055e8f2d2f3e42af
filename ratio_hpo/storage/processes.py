"""Identify this process, and check whether another process of this host is still running."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import psutil


def is_alive(pid: int, started: float) -> bool:
    """Return whether the process with this id and start time is running on this host."""
    try:
        return _start_of(pid) == started and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@cache
def host_name() -> str:
    """Return the name of this host with its process namespace: process ids are only valid within one namespace."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = "pid"
    return f"{socket.gethostname()}/{namespace}"


@cache
def boot_id() -> str:
    """Return an identifier of the current boot of this host."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.is_file() else str(int(psutil.boot_time()))


@cache
def own_start(pid: int) -> float:
    """Return the start time of this process; see `_start_of`."""
    return _start_of(pid)


def _start_of(pid: int) -> float:
    """Return the start time of a process, in clock ticks since boot, which changes of the system clock do not affect.

    Without `/proc`, return it in seconds since the epoch.

    Raises:
        psutil.NoSuchProcess: no process has this id.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        return float(stat.read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return psutil.Process(pid).create_time()
