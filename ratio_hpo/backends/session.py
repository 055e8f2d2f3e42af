"""The run of a search, for both backends: budget, ends of trials, time limits and progress callbacks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ratio_hpo.backends.process import MemoryWatch
from ratio_hpo.backends.trial_steps import Step, TrialEnd
from ratio_hpo.core.errors import RatioHpoError, ScoreError, WorkBlocked
from ratio_hpo.core.trial import UNSTORED, Context, Decision, Progress
from ratio_hpo.storage.leases import TERM
from ratio_hpo.study import Study, TrialAssignment
from ratio_hpo.study.checkpoint_retention import CheckpointRetention
from ratio_hpo.study.state import StudyState
from ratio_hpo.training.remote_files import DriverRemoteStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When a search stops.

    Attributes:
        trials: Total number of trials in the study, in any state.
        hours: Duration of this run; None: no limit.
        cost: Paid cost of the study, in its unit; None: no limit.
        failures: Number of consecutive failures with the same error at which the search stops; None: no limit.
        retries: Restarts of a trial whose process dies, and of Ray, without a new evaluation in between.
        trial_minutes: Duration in this run after which a trial is failed; None: no limit.
        stall_minutes: Time without an evaluation after which a trial's process is restarted; None: no limit.
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
        """Whether a time limit may stop a trial between evaluations."""
        return any(limit is not None for limit in (self.hours, self.trial_minutes, self.stall_minutes))


class TimeLimit(Enum):
    """Time limit that a running trial has exceeded."""

    SEARCH = "max_hours"
    TRIAL = "trial_timeout"
    STALL = "stall_timeout"


class TooManyFailures(RatioHpoError):
    """`max_failures` consecutive trials failed with the same error."""

    exit_code = 1


PAUSE = 0.5
"""Pause before the first retry of a trial whose process died, in seconds; each further pause is twice as long."""


def kind_of_error(reason: str) -> str:
    """Return a failure reason with numbers and addresses replaced, to compare failures."""
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "#", reason)


def _silent(line: str) -> None:
    """Discard a message."""


@dataclass(slots=True)
class Session:
    """One run of a search.

    Attributes:
        root: The run folder.
        device: Device of the trials; None: the best available one.
        threads: CPU threads of each trial; None: all.
        store_gb: Size limit of the stage store; None: the default.
        watch: Callback with the study state after each change, for the progress display.
        retention: Checkpoint retention; None: no weights are kept.
        remote_store: Remote store for machines without a common disk; None without one.
        system_metrics: Whether trials also measure the machine.
        limit: The budget limit that was reached, as text; None: none.
        began: Start of the run, by the monotonic clock.
        say: Receives messages for the user.
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
    _starts: dict[int, float] = field(default_factory=dict)
    _last_reports: dict[int, float] = field(default_factory=dict)
    _unstored: bool = False
    _retained_version: tuple[int, int, int] = (-1, -1, -1)
    _same_errors: list[str] = field(default_factory=list)
    _memory: MemoryWatch = field(default_factory=MemoryWatch)

    def keep_weights(self) -> None:
        """Update the retained checkpoints to the current study; the previous run may have died before that."""
        if self.retention is not None:
            view = self.study.state
            recommended = self.study.adviser.recommended(view.records)
            self.retention.update(view.records, recommended, view.front.points(view.records))

    def next(self) -> TrialAssignment | None:
        """Return the next trial to run; None if no trial is available or the budget is spent."""
        self.limit = self._limit()
        job = None if self.limit is not None else self.study.next(self.budget.trials)
        if job is not None:
            self._starts[job.number] = self._last_reports[job.number] = time.monotonic()
            self._changed()
        return job

    def late(self, number: int) -> TimeLimit | None:
        """Return the time limit that a running trial has exceeded; None if it has not."""
        now, budget = time.monotonic(), self.budget
        limits = {
            TimeLimit.SEARCH: (now - self.began, budget.hours and 3600 * budget.hours),
            TimeLimit.TRIAL: (now - self._starts.get(number, now), budget.trial_minutes and 60 * budget.trial_minutes),
            TimeLimit.STALL: (
                now - self._last_reports.get(number, now),
                budget.stall_minutes and 60 * budget.stall_minutes,
            ),
        }
        return next((late for late, (spent, limit) in limits.items() if limit is not None and spent >= limit), None)

    def end_late(self, number: int, late: TimeLimit) -> TrialAssignment | None:
        """Release or fail a trial whose process exceeded a time limit, or return the assignment to resume."""
        if late is TimeLimit.SEARCH:
            self.study.running.release(number)
        elif late is TimeLimit.TRIAL:
            self.take(number, TrialEnd(reason=f"it took longer than {self.budget.trial_minutes:g} min (trial_timeout)"))
        else:
            return self.died(number, f"no evaluation for {self.budget.stall_minutes:g} min")
        return None

    def must_wait(self) -> bool:
        """Return whether a trial is leased by another process that may be dead: its lease was not renewed."""
        for number, lease in self.study.held_elsewhere().items():
            beats = self._seen.setdefault(number, (lease.token, lease.beats))
            if beats == (lease.token, lease.beats):  # an expired lease is taken over by the next call
                if not self._waits:
                    self._waits = True
                    self.say(f"waiting for trial {number}, leased by {lease.holder}: taken over unless renewed within "
                             f"{TERM:.0f} s")  # fmt: skip
                return True
        return False

    def context(self, job: TrialAssignment) -> Context:
        """Return the context of a trial."""
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
        """Return how long a trial retries after a fault: as long as the storage, but at most half of a time limit."""
        limits = [limit for limit in (self.budget.trial_minutes, self.budget.stall_minutes) if limit is not None]
        return min([self.study.storage.patience, *(30.0 * limit for limit in limits)])

    def take(self, number: int, step: Step) -> Decision:
        """Record an evaluation or the end of a trial. Every trial ends here.

        Returns:
            Whether to continue the trial.

        Raises:
            WorkBlocked: If a fault would stop every trial; this one is released, not failed, when the study is closed.
            TooManyFailures: If too many consecutive trials failed with the same error.
            FirstTrialFailed: If trial 0 failed and the target depends on it.
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
        """Record that the process of a trial died.

        If it ran out of memory, the trial is resumed with smaller micro-batches.

        Args:
            how: How the process died.
            starved: Whether Ray killed it because memory ran low.

        Returns:
            The assignment to resume, or None if the trial failed.
        """
        killed = self._memory.has_killed()
        reason = f"{how}; the kernel killed a process because memory ran out" if killed else how
        job = self.study.died(number, reason, self.budget.retries, smaller=starved or killed)
        if job is None:
            self._ended(number)
        else:
            self._last_reports[number] = time.monotonic()
        return job

    def pause(self, number: int) -> float:
        """Return the pause before a trial whose process died is resumed; the cause may be transient."""
        trial = self.study.running.get(number)
        return 0.0 if trial is None else PAUSE * 2.0 ** (trial.attempts - 2)

    def go_on(self, number: int) -> TrialAssignment | None:
        """Return the assignment to resume after a fault of Ray; None if this process no longer owns the trial."""
        trial = self.study.running.get(number)
        self._last_reports[number] = time.monotonic()
        return None if trial is None else trial.assignment(number)

    def _report(self, number: int, progress: Progress) -> Decision:
        try:
            decision = self.study.report(number, progress)
        except ScoreError as error:
            return self.take(number, TrialEnd(reason=str(error)))
        self._last_reports[number] = time.monotonic()
        if self.remote_store is not None:
            self.remote_store.take(progress)
        if progress.measures.get(UNSTORED) and not self._unstored:
            self._unstored = True
            self.say(f"{self.root}: the disk is full: stages are not stored and must be trained again when they are "
                     "reused; free some space")  # fmt: skip
        if decision is Decision.STOP:
            self.study.prune(number)
        self._changed()
        return decision

    def _ended(self, number: int) -> None:
        """Report the end of a trial, and stop the search after too many consecutive failures."""
        records = self.study.state.records
        self.study.adviser.update(records, hurried=True)  # first, since the recommended weights are retained
        self._changed()
        if self.remote_store is not None:
            self.remote_store.evict(records)
        record, max_failures = records[number], self.budget.failures
        if record.diverged:  # caused by its parameters, not by a mistake in the setup
            return
        errors = [kind_of_error(record.reason or "")] if record.is_failure else []
        self._same_errors = self._same_errors + errors if errors == self._same_errors[-1:] else errors
        num_failures = len(self._same_errors)
        if max_failures is not None and num_failures >= max_failures:
            raise TooManyFailures(
                f"{num_failures} trial(s) in a row failed with the same error, as many as ⟨max_failures⟩ allows: "
                f"{record.reason}; run `ratio-hpo trial {number}` for the traceback"
            )

    def _limit(self) -> str | None:
        if self.budget.hours is not None and time.monotonic() - self.began >= self.budget.hours * 3600:
            return f"⟨max_hours⟩ {self.budget.hours:g}"
        if self.budget.cost is not None and self.study.state.paid >= self.budget.cost:
            return f"⟨max_cost⟩ {self.budget.cost:g}"
        return None

    def _changed(self) -> None:
        view = self.study.state
        recommended = self.study.adviser.recommended(view.records) if self.retention is not None else None
        version = (view.front.joined, view.num_finished, recommended.number if recommended is not None else -1)
        if self.retention is not None and version != self._retained_version:
            self._retained_version = version
            self.keep_weights()
        if self.watch is not None:
            self.watch(view)
