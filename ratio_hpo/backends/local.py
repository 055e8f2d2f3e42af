"""The local backend: one trial at a time, in this process or in a subprocess."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from ratio_hpo.backends.session import Session, TimeLimit
from ratio_hpo.backends.subprocess import Died, SubprocessRunner, TimeLimitPassed
from ratio_hpo.backends.trial_steps import Step, close, next_step, stream_of
from ratio_hpo.core.trial import Context, Decision, Params, Progress
from ratio_hpo.objective import Objective
from ratio_hpo.study import TrialAssignment


class Runner(Protocol):
    """An interface that runs an objective step by step."""

    def start(self, params: Params, context: Context) -> None:
        """Start a trial."""
        ...

    def step(self, late: Callable[[], TimeLimit | None]) -> Step:
        """Return the next evaluation, or the end of the trial.

        Args:
            late: Returns the time limit that the trial has exceeded, if any; called repeatedly.

        Raises:
            Died: If the process that runs the trial has died.
            TimeLimitPassed: If a time limit was exceeded and the process was killed.
        """
        ...

    def stop(self) -> None:
        """Stop the trial at its current step."""
        ...

    def close(self) -> None:
        """Release all resources; no trial follows."""
        ...


class InProcessRunner:
    """A runner in this process; the output of the objective goes to stderr, since stdout is for data."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._stream: Iterator[Progress] = iter(())

    def start(self, params: Params, context: Context) -> None:
        self._stream = stream_of(lambda: self._objective, params, context)

    def step(self, late: Callable[[], TimeLimit | None]) -> Step:
        with contextlib.redirect_stdout(sys.stderr):
            return next_step(self._stream)

    def stop(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            close(self._stream)

    def close(self) -> None:
        self.stop()


def run_local(session: Session, objective: Objective, *, isolated: bool = False) -> None:
    """Run trials until the budget is spent.

    Args:
        session: The run of the search.
        objective: The objective.
        isolated: Run the objective in a subprocess, so that a crash does not end the search.

    Raises:
        ConfigError: If `isolated` is set and the objective cannot be pickled.
        KeyboardInterrupt: On Ctrl-C, after the running trial was released.
    """
    try:
        with contextlib.closing(SubprocessRunner(objective) if isolated else InProcessRunner(objective)) as runner:
            while True:
                assignment = session.next()
                if assignment is not None:
                    run_trial(session, runner, assignment)
                elif session.must_wait():
                    time.sleep(1.0)
                else:
                    return
    finally:
        session.study.close()


def run_trial(session: Session, runner: Runner, job: TrialAssignment) -> None:
    """Run one trial to its end, with the retries that the budget allows."""
    runner.start(job.params, session.context(job))
    while True:
        try:
            step = runner.step(lambda: session.late(job.number))
        except TimeLimitPassed as error:
            retry = session.end_late(job.number, error.late)
            if retry is None:
                return
            runner.start(retry.params, session.context(retry))
            continue
        except Died as death:
            retry = session.died(job.number, str(death))
            if retry is None:
                return
            time.sleep(session.pause(job.number))
            runner.start(retry.params, session.context(retry))
            continue
        if session.take(job.number, step) is Decision.STOP:
            if isinstance(step, Progress):
                runner.stop()
            return
        if session.late(job.number) is TimeLimit.SEARCH:
            runner.stop()
            session.end_late(job.number, TimeLimit.SEARCH)
            return
