"""Which process this is, and whether another one of this host still runs."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import psutil


def is_alive(pid: int, started: float) -> bool:
    """Whether a process of this host runs that was started then."""
    try:
        return _start_of(pid) == started and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@cache
def host_name() -> str:
    """This host, with its process namespace: numbers of processes mean nothing in another one."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = "pid"
    return f"{socket.gethostname()}/{namespace}"


@cache
def boot_id() -> str:
    """This boot of the host."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.is_file() else str(int(psutil.boot_time()))


@cache
def own_start(pid: int) -> float:
    """When this process was started."""
    return _start_of(pid)


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
