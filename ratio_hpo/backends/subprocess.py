"""An objective in a reusable subprocess, so that a crash does not end the search.

The objective is sent once, as it is to Ray's workers; after that, each evaluation is one message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from ratio_hpo.backends.process import Process, connect, packed, unpacked
from ratio_hpo.backends.trial_steps import Request, StartTrial, Step, close, next_step, stream_of
from ratio_hpo.core.trial import Context, Params, Progress

if TYPE_CHECKING:
    from ratio_hpo.backends.session import TimeLimit
    from ratio_hpo.objective import Objective


POLL_SECONDS = 0.5
"""Interval of the checks of time limits during an evaluation, in seconds."""

GRACE = 10.0
"""Time for a stopped objective to clean up, in seconds."""


class Died(Exception):
    """The process that ran a trial has died; the text gives the cause.

    Attributes:
        late: The time limit that the trial exceeded, so that its process was killed; None: the process died by itself.
    """

    def __init__(self, cause: str, late: TimeLimit | None = None) -> None:
        super().__init__(cause)
        self.late = late


class SubprocessRunner:
    """A runner in a subprocess.

    Raises:
        ConfigError: If the objective cannot be pickled.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = packed(objective)
        self._process: Process | None = None
        self._busy = False

    def start(self, params: Params, context: Context) -> None:
        """Start a trial, in a new process if the last one has died."""
        if self._process is None or not self._process.is_alive:
            self.close()
            self._busy = False
            self._process = Process("ratio_hpo.backends.subprocess", self._objective)
        self._process.send(StartTrial(params, context))

    def step(self, late: Callable[[], TimeLimit | None]) -> Step:
        """Return the next evaluation, or the end of the trial.

        Args:
            late: Returns the time limit that the trial has exceeded, if any; called repeatedly.

        Raises:
            Died: If the process that runs the trial has died, or was killed because of a time limit.
        """
        assert self._process is not None
        self._process.send(Request.STEP)
        self._busy = True
        try:
            while not self._process.has_said(POLL_SECONDS):
                limit = late()
                if limit is not None:
                    self.close()
                    raise Died(limit.value, limit)
            step: Step = self._process.receive()
        except (EOFError, OSError) as error:
            raise Died(self._process.how()) from error
        self._busy = False
        return step

    def stop(self) -> None:
        """Stop the trial and wait until its objective has cleaned up; kill the process if that takes too long."""
        assert self._process is not None
        self._process.send(Request.STOP)
        with suppress(EOFError, OSError):  # if the process died, the next trial gets a new one
            if self._process.has_said(GRACE):
                self._process.receive()
                return
        self._busy = True
        self.close()

    def close(self) -> None:
        """End the process; no trial follows."""
        if self._process is not None:
            self._process.close(grace=0.0 if self._busy else GRACE)


def serve(pipe: Connection, source: bytes) -> None:
    """Answer the driver's requests until it ends; called in the subprocess."""
    read = cache(lambda: unpacked(source))
    stream: Iterator[Progress] = iter(())
    while True:
        try:
            match pipe.recv():
                case StartTrial(params, context):
                    stream = stream_of(read, params, context)
                case Request.STOP:
                    pipe.send(close(stream))
                case Request.STEP:
                    pipe.send(next_step(stream))
        except (EOFError, OSError):  # the driver has ended; errors of the objective do not get here
            return


if __name__ == "__main__":
    serve(*connect())
