"""The reference loop: one trial at a time, in this process or in one beside it."""

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
    """Runs an objective step by step."""

    def start(self, params: Params, context: Context) -> None: ...

    def step(self, late: Callable[[], TimeLimit | None]) -> Step:
        """The next evaluation, or the end.

        Args:
            late: the limit in time that was passed, if any; asked now and then.

        Raises:
            Died: the process that ran it is gone.
            TooLate: a limit was passed, and the process was ended.
        """
        ...

    def stop(self) -> None:
        """Close the trial where it stands."""
        ...

    def close(self) -> None:
        """No trial will come any more."""
        ...


class InProcessRunner:
    """Runs an objective in this process; what it prints goes to stderr, since stdout belongs to the data."""

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
    """Work until the budget is spent.

    Args:
        isolated: run the objective in a process of its own, which it may take down.

    Raises:
        ConfigError: it is to be isolated, and cannot be sent to another process.
        KeyboardInterrupt: after the running trial was released for whoever continues.
    """
    try:
        with contextlib.closing(SubprocessRunner(objective) if isolated else InProcessRunner(objective)) as runner:
            while True:
                job = session.next()
                if job is not None:
                    run_trial(session, runner, job)
                elif session.must_wait():
                    time.sleep(1.0)
                else:
                    return
    finally:
        session.study.close()


def run_trial(session: Session, runner: Runner, job: TrialAssignment) -> None:
    """Run one trial to its end, in as many attempts as it is given."""
    runner.start(job.params, session.context(job))
    while True:
        try:
            step = runner.step(lambda: session.late(job.number))
        except TimeLimitPassed as error:
            again = session.end_late(job.number, error.late)
            if again is None:
                return
            runner.start(again.params, session.context(again))
            continue
        except Died as death:
            again = session.died(job.number, str(death))
            if again is None:
                return
            time.sleep(session.pause(job.number))
            runner.start(again.params, session.context(again))
            continue
        if session.take(job.number, step) is Decision.STOP:
            if isinstance(step, Progress):
                runner.stop()
            return
        if session.late(job.number) is TimeLimit.SEARCH:
            runner.stop()
            session.end_late(job.number, TimeLimit.SEARCH)
            return
