"""Detect processes that the kernel killed because the machine ran out of memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from ratio_hpo.core.errors import ConfigError, in_one_line
from ratio_hpo.core.extensions import register_all, registered

if TYPE_CHECKING:
    from ratio_hpo.objective import Objective


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


STDERR = 2


def packed(objective: Objective) -> bytes:
    """Pickle an objective for another process, with the registered components, which it may name.

    Raises:
        ConfigError: If it cannot be pickled.
    """
    try:
        return cloudpickle.dumps((registered(), cloudpickle.dumps(objective)))
    except Exception as error:  # pickling runs user code, which may raise anything
        raise ConfigError(
            f"objective: cannot be sent to a subprocess ({in_one_line(error)}); create the objects that it uses "
            "inside it, or run it in this process (isolated=False)"
        ) from error


def unpacked(source: bytes) -> Objective:
    """Return the objective that `packed` pickled, after registering the components."""
    components, objective = cloudpickle.loads(source)
    register_all(components)
    return cloudpickle.loads(objective)


class Gone(Exception):
    """The process at the other end of the pipe has died."""


@contextmanager
def talking() -> Iterator[None]:
    """Convert errors of the pipe in the block; the block must use nothing but the pipe.

    Raises:
        Gone: If the process at the other end has died.
    """
    try:
        yield
    except (EOFError, OSError) as error:
        raise Gone(str(error)) from error


class Process:
    """The driver's end of a process.

    Args:
        module: Module to run, which calls `connect`.
        objective: The pickled objective.
        log: File for its output; None: stderr.
        environment: Environment variables in addition to those of this process.
    """

    def __init__(
        self, module: str, objective: bytes, log: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            out = STDERR if log is None else log.open("ab")
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", module, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env={**os.environ, **(environment or {})},
                )
            finally:
                if not isinstance(out, int):
                    out.close()
        self._pipe = Connection(ours.detach())
        with suppress(OSError):  # if it died at once, the first answer reports it
            self._pipe.send((sys.path, sys.argv[0]))
            self._pipe.send_bytes(objective)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Send a message; if the process has died, the next `receive` reports it."""
        with suppress(OSError):
            self._pipe.send(message)

    def has_said(self, seconds: float) -> bool:
        """Return whether a message arrives within this many seconds.

        Raises:
            OSError: If the process has died.
        """
        return self._pipe.poll(seconds)

    def receive(self) -> Any:
        """Return the next message.

        Raises:
            EOFError, OSError: If the process has died.
        """
        return self._pipe.recv()

    def how(self) -> str:
        """Wait for the end of the process and return its exit code or signal as text."""
        code = self._process.wait()
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {-code}, {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    def close(self, grace: float = 0.0) -> None:
        """Close the pipe and kill the process.

        Args:
            grace: Time for the process to end by itself before it is killed, in seconds.
        """
        self._pipe.close()
        if grace:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        self._process.kill()
        self._process.wait()


def connect() -> tuple[Connection, bytes]:
    """Return the pipe to the driver and the pickled objective, and end this process when the driver ends.

    Called in the subprocess.
    """
    parent = os.getppid()
    pipe = Connection(int(sys.argv[1]))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver handles Ctrl-C
    try:
        sys.path[:], program = pipe.recv()
        objective = pipe.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)  # the driver has already ended
    sys.argv[:] = [program]
    return pipe, objective


def _end_with(parent: int) -> None:
    """End this process when its driver has ended, whatever it is doing."""
    while os.getppid() == parent:
        threading.Event().wait(1.0)
    os._exit(1)
