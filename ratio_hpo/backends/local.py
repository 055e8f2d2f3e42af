"""The reference loop: one process, one trial at a time."""

from __future__ import annotations

import time
import traceback

from ratio_hpo.backends.driver import Session
from ratio_hpo.core.errors import Diverged, StorageFullError
from ratio_hpo.core.trial import Decision
from ratio_hpo.objective import Objective
from ratio_hpo.study import Job


def run_local(session: Session, objective: Objective) -> None:
    """Work until the budget is spent.

    Raises:
        KeyboardInterrupt: after the running trial was released for whoever continues.
    """
    try:
        while True:
            job = session.next()
            if job is not None:
                run_trial(session, objective, job)
            elif session.must_wait():
                time.sleep(1.0)
            else:
                return
    finally:
        session.study.close()


def run_trial(session: Session, objective: Objective, job: Job) -> None:
    """Run one trial to its end. An error of the objective ends the trial, not the search."""
    stream = objective(job.params, session.context(job))
    while True:
        try:
            progress = next(stream, None)
        except Diverged as error:
            session.fail(job.number, str(error), None)
            return
        except StorageFullError:
            raise
        except Exception as error:  # whatever the user's objective raises belongs to its trial
            session.fail(job.number, f"{type(error).__name__}: {error}", traceback.format_exc())
            return
        if progress is None:
            session.complete(job.number)
            return
        if session.report(job.number, progress) is Decision.STOP:
            stream.close()  # type: ignore[attr-defined]
            session.prune(job.number)
            return
