"""The local backend: one trial at a time, in this process or in a subprocess."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from ratio_hpo.backends.session import Session, TimeLimit
from ratio_hpo.backends.subprocess import Died, SubprocessRunner
from ratio_hpo.backends.trial_steps import Step, close, next_step, stream_of
from ratio_hpo.core.trial import Context, Decision, Params, Progress
from ratio_hpo.objective import Objective
from ratio_hpo.study import TrialAssignment


class InProcessRunner:
    """A runner in this process; the output of the objective goes to stderr, since stdout is for data."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._stream: Iterator[Progress] = iter(())

    def start(self, params: Params, context: Context) -> None:
        """Start a trial."""
        self._stream = stream_of(lambda: self._objective, params, context)

    def step(self, late: Callable[[], TimeLimit | None]) -> Step:
        """Return the next evaluation, or the end of the trial; time limits cannot stop a trial in this process."""
        with contextlib.redirect_stdout(sys.stderr):
            return next_step(self._stream)

    def stop(self) -> None:
        """Stop the trial at its current step."""
        with contextlib.redirect_stdout(sys.stderr):
            close(self._stream)

    def close(self) -> None:
        """Stop the trial; no trial follows."""
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


def run_trial(session: Session, runner: InProcessRunner | SubprocessRunner, job: TrialAssignment) -> None:
    """Run one trial to its end, with the retries that the budget allows."""
    runner.start(job.params, session.context(job))
    while True:
        try:
            step = runner.step(lambda: session.late(job.number))
        except Died as death:
            if death.late is not None:
                retry = session.end_late(job.number, death.late)
            else:
                retry = session.died(job.number, str(death))
                time.sleep(session.pause(job.number))
            if retry is None:
                return
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
