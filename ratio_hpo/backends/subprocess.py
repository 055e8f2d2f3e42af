"""An objective in a process of its own, which stays warm: whatever takes that process down, the search goes on.

The objective travels once, as it does to Ray's workers; then each evaluation is one message.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import cloudpickle

from ratio_hpo.backends.process import Process, connect, packed
from ratio_hpo.backends.trial_steps import Step, TrialEnd, close, next_step, stream_of
from ratio_hpo.core.trial import Context, Params, Progress

if TYPE_CHECKING:
    from ratio_hpo.backends.session import TimeLimit
    from ratio_hpo.objective import Objective


POLL_SECONDS = 0.5
"""Seconds between two looks at the clock while an evaluation is waited for."""

GRACE = 10.0
"""Seconds that an objective which was stopped has to clean up."""


class Died(Exception):
    """The process that ran a trial is gone; the text says how."""


class TimeLimitPassed(Exception):
    """A limit in time was passed, and the process that ran the trial was ended."""

    def __init__(self, late: TimeLimit) -> None:
        super().__init__(late.value)
        self.late = late


class SubprocessRunner:
    """The driver's end.

    Raises:
        ConfigError: the objective cannot be sent.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = packed(objective)
        self._process: Process | None = None
        self._busy = False

    def start(self, params: Params, context: Context) -> None:
        if self._process is None or not self._process.is_alive:
            self.close()
            self._busy = False
            self._process = Process("ratio_hpo.backends.subprocess", self._objective)
        self._process.send({"start": {"params": params, "context": asdict(context)}})

    def step(self, late: Callable[[], TimeLimit | None]) -> Step:
        assert self._process is not None
        self._process.send({"step": True})
        self._busy = True
        try:
            while not self._process.has_said(POLL_SECONDS):
                passed = late()
                if passed is not None:
                    self.close()
                    raise TimeLimitPassed(passed)
            answer = self._process.receive()
        except (EOFError, OSError) as error:
            raise Died(self._process.how()) from error
        self._busy = False
        return Progress.from_json(answer["progress"]) if "progress" in answer else TrialEnd(**answer["ending"])

    def stop(self) -> None:
        """Close the trial, and wait until its objective has cleaned up; one that does not is killed."""
        assert self._process is not None
        self._process.send({"stop": True})
        with suppress(EOFError, OSError):  # it has died over it; the next trial gets another process
            if self._process.has_said(GRACE):
                self._process.receive()
                return
        self._busy = True
        self.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.close(grace=0.0 if self._busy else GRACE)


def serve(pipe: Connection, source: bytes) -> None:
    """The other end: run what the driver asks for until it is gone."""
    read = cache(lambda: cloudpickle.loads(source))
    stream: Iterator[Progress] = iter(())
    while True:
        try:
            message = json.loads(pipe.recv_bytes())
            if "start" in message:
                begun = message["start"]
                stream = stream_of(read, begun["params"], Context.from_json(begun["context"]))
            elif "stop" in message:
                close(stream)
                pipe.send_bytes(b"{}")
            else:
                step = next_step(stream)
                content = {"progress": step.to_json()} if isinstance(step, Progress) else {"ending": asdict(step)}
                pipe.send_bytes(json.dumps(content).encode())
        except (EOFError, OSError):  # the driver has gone; what the objective raises is an ending
            return


if __name__ == "__main__":
    serve(*connect())
