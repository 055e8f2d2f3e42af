"""What both backends share: when to stop, how a trial ends, whom to show it to."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ratio_hpo.backends.memory import MemoryWatch
from ratio_hpo.backends.trial_steps import Step, TrialEnd
from ratio_hpo.core.errors import RatioHpoError, ScoreError, WorkBlocked
from ratio_hpo.core.trial import UNSTORED, Context, Decision, Progress
from ratio_hpo.study import Study, TrialAssignment
from ratio_hpo.study.checkpoint_retention import CheckpointRetention
from ratio_hpo.study.leases import TERM, Lease
from ratio_hpo.study.state import StudyState
from ratio_hpo.training.remote_files import DriverRemoteStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When a search stops.

    Attributes:
        trials: in the study in all, whatever their end.
        hours: of this run; None: no limit.
        cost: that the study may train in all, in its unit; None: no limit.
        failures: trials that fail in a row, each with the same error, at which the search stops; None: no limit.
        retries: of a trial whose process dies, and of Ray, without a new evaluation in between.
        trial_minutes: that a trial may take in this run, at which it is FAIL; None: no limit.
        stall_minutes: that a trial may go without an evaluation, at which its process is ended; None: no limit.
    """

    trials: int
    hours: float | None = None
    cost: float | None = None
    failures: int | None = None
    retries: int = 3
    trial_minutes: float | None = None
    stall_minutes: float | None = None

    @property
    def is_timed(self) -> bool:
        """Whether a trial may have to be ended in the middle of its work."""
        return any(limit is not None for limit in (self.hours, self.trial_minutes, self.stall_minutes))


class TimeLimit(Enum):
    """Which limit in time a running trial has passed."""

    SEARCH = "max_hours"
    TRIAL = "trial_timeout"
    STALL = "stall_timeout"


class TooManyFailures(RatioHpoError):
    """As many trials in a row as `max_failures` says failed with the same error."""

    exit_code = 1


PAUSE = 0.5
"""Seconds before the first retry of a trial whose process died; each further one takes twice as long."""


def kind_of_error(reason: str) -> str:
    """What two failures have in common: their reason but for numbers and addresses."""
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "#", reason)


def _silent(line: str) -> None:
    """Nobody is told."""


@dataclass(slots=True)
class Session:
    """One run of a search: a study, a budget, and those who watch.

    Attributes:
        root: the run folder.
        watch: called with the live view after each change, for the progress display.
        keeper: keeps weights; None: nobody does.
        remote_store: of machines without a common disk; None: they have one.
        system_metrics: whether trials also measure the machine.
        say: is told what a user should know.
        limit: the limit that was reached, in words; None: none was.
    """

    study: Study
    budget: Budget
    root: Path
    device: str | None = None
    threads: int | None = None
    store_gb: float | None = None
    watch: Callable[[StudyState], None] | None = None
    retention: CheckpointRetention | None = None
    remote_store: DriverRemoteStore | None = None
    system_metrics: bool = False
    limit: str | None = None
    began: float = field(default_factory=time.monotonic)
    say: Callable[[str], None] = _silent
    _seen: dict[int, tuple[str, int]] = field(default_factory=dict)
    _waits: bool = False
    _begun: dict[int, float] = field(default_factory=dict)
    _heard: dict[int, float] = field(default_factory=dict)
    _unstored: bool = False
    _kept: tuple[int, int, int] = (-1, -1, -1)
    _row: list[str] = field(default_factory=list)
    _memory: MemoryWatch = field(default_factory=MemoryWatch)

    def keep_weights(self) -> None:
        """Make the kept weights those of the study as it stands: the last run may have died in between."""
        if self.retention is not None:
            view = self.study.view
            recommended = self.study.adviser.recommended(view.records)
            self.retention.update(view.records, recommended, view.front.points(view.records))

    def next(self) -> TrialAssignment | None:
        """The next trial to work on; None: there is nothing, or the budget is spent."""
        self.limit = self._limit()
        job = None if self.limit is not None else self.study.next(self.budget.trials)
        if job is not None:
            self._begun[job.number] = self._heard[job.number] = time.monotonic()
            self._changed()
        return job

    def late(self, number: int) -> TimeLimit | None:
        """The limit in time that a running trial has passed, if any."""
        now, budget = time.monotonic(), self.budget
        passed = {
            TimeLimit.SEARCH: (now - self.began, budget.hours and 3600 * budget.hours),
            TimeLimit.TRIAL: (now - self._begun.get(number, now), budget.trial_minutes and 60 * budget.trial_minutes),
            TimeLimit.STALL: (now - self._heard.get(number, now), budget.stall_minutes and 60 * budget.stall_minutes),
        }
        return next((late for late, (spent, most) in passed.items() if most is not None and spent >= most), None)

    def end_late(self, number: int, late: TimeLimit) -> TrialAssignment | None:
        """What becomes of a trial whose process was ended over a limit in time: it is let go, or FAIL, or goes on."""
        if late is TimeLimit.SEARCH:
            self.study.live.release(number)
        elif late is TimeLimit.TRIAL:
            self.take(number, TrialEnd(reason=f"it took longer than {self.budget.trial_minutes:g} min (trial_timeout)"))
        else:
            return self.died(number, f"no evaluation for {self.budget.stall_minutes:g} min")
        return None

    def must_wait(self) -> bool:
        """Whether trials are held by somebody who may be gone: their leases have not been renewed since we looked."""
        for number, lease in self.study.held_elsewhere().items():
            beats = self._seen.setdefault(number, (lease.token, lease.beats))
            if beats == (lease.token, lease.beats):  # where it is lost by now, the next look takes it over
                self._tell_wait(number, lease)
                return True
        return False

    def _tell_wait(self, number: int, lease: Lease) -> None:
        if not self._waits:
            self._waits = True
            self.say(f"waiting for trial {number}, held by {lease.holder}: {TERM:.0f} s without a sign, and it is ours")

    def context(self, job: TrialAssignment) -> Context:
        return Context(
            trial=job.number,
            seed=job.seed,
            root=str(self.root),
            remote_store=self.remote_store.url if self.remote_store is not None else None,
            device=self.device,
            threads=self.threads,
            store_gb=self.store_gb,
            position=job.position,
            smaller=job.smaller,
            spent=job.spent,
            system_metrics=self.system_metrics,
            patience=self._patience(),
        )

    def _patience(self) -> float:
        """Seconds that a trial waits for a fault to pass: those of the storage, and less than limits in time."""
        limits = [limit for limit in (self.budget.trial_minutes, self.budget.stall_minutes) if limit is not None]
        return min([self.study.storage.patience, *(30.0 * limit for limit in limits)])

    def take(self, number: int, step: Step) -> Decision:
        """Record what a trial came to: an evaluation, or its end. The one place where trials end.

        Returns:
            Whether the trial goes on.

        Raises:
            WorkBlocked: no trial would get further; this one is released, not failed, when the study is closed.
            TooManyFailures: it failed with the error that too many before it had.
            FirstTrialFailed: it was trial 0, and the target hangs on it.
        """
        if isinstance(step, Progress):
            return self._report(number, step)
        if step.blocked:
            raise WorkBlocked(str(step.reason))
        if step.reason is None:
            self.study.complete(number)
        else:
            self.study.fail(number, step.reason, step.traceback)
        self._ended(number)
        return Decision.STOP

    def died(self, number: int, how: str, *, starved: bool = False) -> TrialAssignment | None:
        """The process that ran a trial has died: what to go on with, or None where the trial is given up.

        Where it was killed for want of memory, by the kernel too, the trial goes on with smaller micro-batches.
        """
        killed = self._memory.has_killed()
        why = f"{how}; the kernel has killed a process for want of memory" if killed else how
        job = self.study.died(number, why, self.budget.retries, smaller=starved or killed)
        if job is None:
            self._ended(number)
        else:
            self._heard[number] = time.monotonic()
        return job

    def pause(self, number: int) -> float:
        """Seconds before a trial whose process died goes on: what killed it may pass, such as a lack of memory."""
        claim = self.study.live.get(number)
        return 0.0 if claim is None else PAUSE * 2.0 ** (claim.attempts - 2)

    def go_on(self, number: int) -> TrialAssignment | None:
        """What is left of a trial that lost its process through no fault of its own; None: it is ours no more."""
        claim = self.study.live.get(number)
        self._heard[number] = time.monotonic()
        return None if claim is None else claim.job(number)

    def _report(self, number: int, progress: Progress) -> Decision:
        try:
            decision = self.study.report(number, progress)
        except ScoreError as error:
            return self.take(number, TrialEnd(reason=str(error)))
        self._heard[number] = time.monotonic()
        if self.remote_store is not None:
            self.remote_store.take(progress)
        if progress.measures.get(UNSTORED) and not self._unstored:
            self._unstored = True
            self.say(f"{self.root}: the disk is full: stages are trained without being stored, and are trained again "
                     "where they are needed again; free some space")  # fmt: skip
        if decision is Decision.STOP:
            self.study.prune(number)
        self._changed()
        return decision

    def _ended(self, number: int) -> None:
        """Show an end, and stop where one error came too often in a row."""
        records = self.study.view.records
        self.study.adviser.update(records, hurried=True)  # first, since the weights that it recommends are kept
        self._changed()
        if self.remote_store is not None:
            self.remote_store.evict(records)
        record, most = records[number], self.budget.failures
        if record.diverged:  # a place in the space, which says nothing of what is set up
            return
        errors = [kind_of_error(record.reason or "")] if record.is_failure else []
        self._row = self._row + errors if errors == self._row[-1:] else errors
        if most is not None and len(self._row) >= most:
            raise TooManyFailures(
                f"{len(self._row)} trial(s) in a row failed with the same error, as many as ⟨max_failures⟩ allows: "
                f"{record.reason}; `ratio-hpo trial {number}` shows where"
            )

    def _limit(self) -> str | None:
        if self.budget.hours is not None and time.monotonic() - self.began >= self.budget.hours * 3600:
            return f"⟨max_hours⟩ {self.budget.hours:g}"
        if self.budget.cost is not None and self.study.view.paid >= self.budget.cost:
            return f"⟨max_cost⟩ {self.budget.cost:g}"
        return None

    def _changed(self) -> None:
        view = self.study.view
        recommended = self.study.adviser.recommended(view.records) if self.retention is not None else None
        kept = (view.front.joined, view.num_finished, recommended.number if recommended is not None else -1)
        if self.retention is not None and kept != self._kept:
            self._kept = kept
            self.keep_weights()
        if self.watch is not None:
            self.watch(view)
