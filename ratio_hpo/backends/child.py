"""An objective in a process of its own, which stays warm: whatever takes that process down, the search goes on.

The process is started anew rather than forked: a fork of a process with threads, or with a GPU in use, may hang.
The objective travels once, by cloudpickle, as it does to Ray's workers; then each evaluation is one message. What
the objective prints goes to stderr. The process ends with its driver, also where that is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import cloudpickle

from ratio_hpo.backends.steps import Ending, Step, close, next_step
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Context, Params, Progress

if TYPE_CHECKING:
    from ratio_hpo.backends.driver import Late
    from ratio_hpo.objective import Objective


LOOK = 0.5
"""Seconds between two looks at the clock while an evaluation is waited for."""

GRACE = 10.0
"""Seconds that an objective which was stopped has to clean up."""


class Died(Exception):
    """The process that ran a trial is gone; the text says how."""


class TooLate(Exception):
    """A limit in time was passed, and the process that ran the trial was ended."""

    def __init__(self, late: Late) -> None:
        super().__init__(late.value)
        self.late = late


class Child:
    """The driver's end.

    Raises:
        ConfigError: the objective cannot be sent.
    """

    def __init__(self, objective: Objective) -> None:
        try:
            self._objective = cloudpickle.dumps(objective)
        except Exception as error:  # pickling runs the user's own code, which may raise anything
            raise ConfigError(
                f"objective: cannot be sent to a process of its own ({type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else 'no reason given'}); make what it holds on to "
                "within it, or run it in this process (isolated=False)"
            ) from error
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._busy = False

    def start(self, params: Params, context: Context) -> None:
        if self._process is None or self._process.poll() is not None:
            self._launch()
        self._send({"start": {"params": params, "context": asdict(context)}})

    def step(self, late: Callable[[], Late | None]) -> Step:
        self._send({"step": True})
        assert self._pipe is not None
        self._busy = True
        try:
            while not self._pipe.poll(LOOK):
                passed = late()
                if passed is not None:
                    self.close()
                    raise TooLate(passed)
            answer = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise Died(self._how()) from error
        self._busy = False
        return Progress.from_json(answer["progress"]) if "progress" in answer else Ending(**answer["ending"])

    def stop(self) -> None:
        """Close the trial, and wait until its objective has cleaned up; one that does not is killed."""
        self._send({"stop": True})
        assert self._pipe is not None
        with suppress(EOFError, OSError):  # it has died over it; the next trial gets another process
            if self._pipe.poll(GRACE):
                self._pipe.recv_bytes()
                return
        self._busy = True
        self.close()

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()  # at which it ends by itself
        if self._process is not None:
            if not self._busy:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(GRACE)
            self._process.kill()
            self._process.wait()

    def _launch(self) -> None:
        self.close()
        self._busy = False
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ratio_hpo.backends.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout belongs to the data
            )
        self._pipe = Connection(ours.detach())
        try:
            self._pipe.send_bytes(json.dumps(sys.path).encode())
            self._pipe.send_bytes(self._objective)
        except OSError:
            return  # it died at once; the next step says how

    def _send(self, message: dict[str, Any]) -> None:
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(json.dumps(message).encode())
        except OSError:
            return  # it has died meanwhile; the next step says how

    def _how(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {-code}, {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"


def serve(pipe: Connection) -> None:
    """The other end: run what the driver asks for until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    sys.path[:] = json.loads(pipe.recv_bytes())
    source = pipe.recv_bytes()
    read = cache(lambda: cloudpickle.loads(source))
    stream: Iterator[Progress] = iter(())
    while True:
        try:
            message = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        if "start" in message:
            begun = message["start"]
            stream = _opened(read, begun["params"], Context.from_json(begun["context"]))
        elif "stop" in message:
            close(stream)
            pipe.send_bytes(b"{}")
        else:
            step = next_step(stream)
            content = {"progress": step.to_json()} if isinstance(step, Progress) else {"ending": asdict(step)}
            pipe.send_bytes(json.dumps(content).encode())


def _opened(read: Callable[[], Objective], params: Params, context: Context) -> Iterator[Progress]:
    """The stream of a trial; an objective that cannot be read here fails its trial, not the process."""
    yield from read()(params, context)


def _end_with(parent: int) -> None:
    """End this process when its driver is gone, in the middle of a step too."""
    while os.getppid() == parent:
        threading.Event().wait(1.0)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    serve(Connection(int(sys.argv[1])))
