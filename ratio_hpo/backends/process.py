"""A Python process of ours beside this one, and a pipe of JSON messages to it.

It is started anew rather than forked: a fork of a process with threads, or with a GPU in use, may hang. What it prints
goes to stderr, since stdout belongs to the data. It ends with its driver, also where that is killed.
"""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
    from ratio_hpo.objective import Objective

STDERR = 2


def packed(objective: Objective) -> bytes:
    """An objective as it travels to other processes.

    Raises:
        ConfigError: it cannot be sent.
    """
    try:
        return cloudpickle.dumps(objective)
    except Exception as error:  # pickling runs the user's own code, which may raise anything
        raise ConfigError(
            f"objective: cannot be sent to a process of its own ({in_one_line(error)}); make what it holds on to "
            "within it, or run it in this process (isolated=False)"
        ) from error


class Gone(Exception):
    """The process at the other end has died."""


@contextmanager
def talking() -> Iterator[None]:
    """What goes wrong in the block is the other end's death: nothing but the pipe is used in it.

    Raises:
        Gone: it has died.
    """
    try:
        yield
    except (EOFError, OSError) as error:
        raise Gone(str(error)) from error


class Process:
    """The driver's end of a process.

    Args:
        module: that is run, and calls `connect`.
        objective: that it gets, packed.
        log: the file that it prints to; None: stderr.
        environment: variables beside this process's own.
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
        with suppress(OSError):  # it died at once, which the first answer says
            self._pipe.send_bytes(json.dumps({"path": sys.path, "program": sys.argv[0]}).encode())
            self._pipe.send_bytes(objective)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Say something; where it has died meanwhile, the next answer says how."""
        with suppress(OSError):
            self._pipe.send_bytes(json.dumps(message).encode())

    def has_said(self, seconds: float) -> bool:
        """Whether there is something to receive, waited for so long.

        Raises:
            OSError: it is gone.
        """
        return self._pipe.poll(seconds)

    def receive(self) -> Any:
        """What it says next.

        Raises:
            EOFError, OSError: it is gone.
        """
        return json.loads(self._pipe.recv_bytes())

    def how(self) -> str:
        """How it ended, which is waited for."""
        code = self._process.wait()
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {-code}, {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    def close(self, grace: float = 0.0) -> None:
        """End it.

        Args:
            grace: seconds that it has to end by itself, once it has nobody to talk to.
        """
        self._pipe.close()
        if grace:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        self._process.kill()
        self._process.wait()


def connect() -> tuple[Connection, bytes]:
    """The other end: the pipe to the driver, and the packed objective; this process ends when its driver is gone."""
    parent = os.getppid()
    pipe = Connection(int(sys.argv[1]))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    try:
        about = json.loads(pipe.recv_bytes())
        objective = pipe.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)  # the driver has gone already
    sys.path[:] = about["path"]
    sys.argv[:] = [about["program"]]
    return pipe, objective


def _end_with(parent: int) -> None:
    """End this process when its driver is gone, in the middle of whatever it does too."""
    while os.getppid() == parent:
        threading.Event().wait(1.0)
    os._exit(1)
