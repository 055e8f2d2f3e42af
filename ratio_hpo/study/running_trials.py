"""Trials that this process runs, and their leases in the storage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from optuna.distributions import BaseDistribution
from sqlalchemy import Connection

from ratio_hpo.core.errors import StorageReplaced
from ratio_hpo.core.measures import NOTHING, PaidCost
from ratio_hpo.core.plans import TRIAL_PLAN
from ratio_hpo.core.retry import CLOCK, Clock
from ratio_hpo.core.trial import Params, Progress
from ratio_hpo.storage import records as rec
from ratio_hpo.storage.leases import (
    RENEWAL,
    Lease,
    LeaseLost,
    LeaseWatch,
    begin_trial,
    drop_lease,
    own_lease,
    put_while_held,
    renew_lease,
    take_lease,
)
from ratio_hpo.storage.retrying_storage import DATABASE_ERRORS, RetryingStorage
from ratio_hpo.storage.schema import End, add_waiting, has_attributes, lock_study, put_attributes, put_end, put_params
from ratio_hpo.study.plan import StudyPlan

UNKNOWN = -1
"""The id of a trial that has not been started yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialAssignment:
    """A trial to run.

    Attributes:
        number: number of the trial.
        params: its parameters.
        kind: name of a baseline, `sampled` or `enqueued`.
        seed: seed of the data order, dropout and head.
        position: stage and windows of the last evaluation recorded by an earlier attempt; None if there is none.
        smaller: number of attempts in this process that ran out of memory.
        spent: cost paid by earlier attempts.
    """

    number: int
    params: Params
    kind: str
    seed: int
    position: tuple[str, int] | None = None
    smaller: int = 0
    spent: PaidCost = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialInit:
    """Data that is stored when a trial starts.

    Attributes:
        attributes: user attributes of the trial.
        place: its coordinates in the search space, in Optuna's representation.
        domains: distribution of each coordinate.
        step_sweeps: attributes of the waiting trials of its step sweep, which are added at the same time.
    """

    attributes: rec.Attributes
    place: Mapping[str, float]
    domains: Mapping[str, BaseDistribution]
    step_sweeps: Sequence[rec.Attributes] = ()


@dataclass(slots=True, kw_only=True)
class RunningTrial:
    """A trial that this process runs.

    Attributes:
        trial_id: Optuna's id of the trial.
        lease: identifies this process as its owner.
        curve: recorded evaluations.
        lost: whether another process has taken the trial over.
        prunable: whether the pruner may stop it.
        budget: planned attributed cost; None if unknown.
        attempts: attempts since the last new evaluation, including this one; a worker crash starts a new one.
        adoptions: number of times it was taken over since then because its driver died.
        smaller: number of attempts in this process that ran out of memory.
        spent_before: cost paid before this process took it over.
        spent_again: cost paid in this process that a restarted worker does not count.
    """

    trial_id: int
    lease: Lease
    params: Params = field(default_factory=dict)
    kind: str = "sampled"
    seed: int = 0
    curve: list[Progress] = field(default_factory=list)
    lost: bool = False
    prunable: bool = True
    budget: float | None = None
    attempts: int = 1
    adoptions: int = 0
    smaller: int = 0
    spent_before: PaidCost = NOTHING
    spent_again: PaidCost = NOTHING

    @property
    def cost(self) -> float:
        """Attributed cost at the last evaluation; 0 before the first."""
        return self.curve[-1].cost if self.curve else 0.0

    def fill(self, attributes: rec.Attributes) -> None:
        """Set kind, parameters, seed, budget and prunability from the stored attributes."""
        self.kind, self.params, self.seed = attributes[rec.KIND], attributes[rec.PARAMS], attributes[rec.SEED]
        self.budget = TRIAL_PLAN.validate_python(attributes[rec.PLAN]).cost
        self.prunable = self.kind == "sampled" or bool(attributes.get(rec.PRUNABLE))
        self.spent_before = self.curve[-1].spent if self.curve else NOTHING

    def is_end(self, progress: Progress, plan: StudyPlan) -> bool:
        """Return whether the trial has reached its budget; it is then COMPLETE, and the pruner cannot stop it."""
        if self.budget is not None:
            return progress.cost >= self.budget
        last_stage, grid = list(plan.rungs.items())[-1]
        at_last_rung = progress.stage == last_stage and progress.windows >= grid[-1]
        return at_last_rung or progress.cost >= plan.largest_cost

    def assignment(self, number: int) -> TrialAssignment:
        """Return the assignment with which another process resumes the trial."""
        return TrialAssignment(
            number=number,
            params=self.params,
            kind=self.kind,
            seed=self.seed,
            position=self.curve[-1].place if self.curve else None,
            smaller=self.smaller,
            spent=self.curve[-1].spent if self.curve else NOTHING,
        )


class RunningTrials:
    """The running trials of this process, by number, with their leases in the storage."""

    def __init__(self, storage: RetryingStorage, clock: Clock = CLOCK) -> None:
        self._storage, self._clock = storage, clock
        self._trials: dict[int, RunningTrial] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.watch = LeaseWatch(clock)

    def __contains__(self, number: int) -> bool:
        return number in self._trials

    def __getitem__(self, number: int) -> RunningTrial:
        return self._trials[number]

    def numbers(self) -> list[int]:
        return list(self._trials)

    def held(self) -> set[int]:
        """Return the trials whose leases this process still holds."""
        return {number for number, trial in list(self._trials.items()) if not trial.lost}

    def begin(self, study_id: int, count: int, waiting: int | None, content: TrialInit | None) -> RunningTrial | None:
        """Start a waiting trial or a new one; return None if the study has changed since it was read.

        Args:
            study_id: Optuna's id of the study.
            count: number of trials that the study had when it was read.
            waiting: Optuna's id of the waiting trial; None creates a new trial.
            content: data to store with it; None if it is written later or does not exist.
        """

        def write(connection: Connection, trial_id: int) -> None:
            if content is not None:
                add_waiting(connection, study_id, content.step_sweeps)
                put_attributes(connection, trial_id, content.attributes)
                put_params(connection, trial_id, content.place, content.domains)

        lease = own_lease(UNKNOWN, self._clock)
        trial_id = begin_trial(self._storage, study_id, lease, count, waiting, write)
        return None if trial_id is None else RunningTrial(trial_id=trial_id, lease=replace(lease, trial_id=trial_id))

    def claim(self, study_id: int, trial_id: int, held: Lease | None) -> tuple[RunningTrial, rec.Stored] | None:
        """Take the lease of a trial that no live process owns.

        Args:
            held: the lost lease; None if the trial has none.

        Returns:
            The running trial, and its stored state at that moment; None if the trial has ended or another process was
            faster.
        """
        lease = own_lease(trial_id, self._clock)
        stored = take_lease(self._storage, lease, held, partial(rec.read_trial, study_id=study_id, trial_id=trial_id))
        return None if stored is None else (RunningTrial(trial_id=trial_id, lease=lease), stored)

    def add(self, number: int, claim: RunningTrial) -> None:
        self._trials[number] = claim

    def get(self, number: int) -> RunningTrial | None:
        """Return a trial that this process still owns, or None."""
        trial = self._trials.get(number)
        return None if trial is None or trial.lost else trial

    def pop(self, number: int) -> RunningTrial | None:
        """Remove a trial; return None if this process no longer owns it."""
        trial = self._trials.pop(number, None)
        return None if trial is None or trial.lost else trial

    def write(self, claim: RunningTrial, values: rec.Attributes) -> bool:
        """Set attributes of a trial; write nothing and return False if this process no longer owns it."""
        return self._run(claim, lambda connection: put_while_held(connection, claim.lease, values))

    def settle(self, study_id: int, claim: RunningTrial, content: TrialInit) -> bool:
        """Write the missing data of a started trial; return False if this process no longer owns it."""

        def work(connection: Connection) -> None:
            if content.step_sweeps:
                lock_study(connection, study_id)
                if has_attributes(connection, claim.trial_id, content.attributes):  # an interrupted call wrote it
                    return
                add_waiting(connection, study_id, content.step_sweeps)
            put_while_held(connection, claim.lease, content.attributes)
            put_params(connection, claim.trial_id, content.place, content.domains)

        return self._run(claim, work)

    def release(self, number: int) -> None:
        """Release a trial without ending it; this does not count as an attempt."""
        trial = self.pop(number)
        if trial is None:
            return
        self.finish(trial, {rec.ADOPTIONS: max(trial.adoptions - 1, 0)}, None)

    def finish(self, claim: RunningTrial, values: rec.Attributes, end: End | None) -> bool:
        """Set attributes of a trial, end it and release it, in one transaction.

        Args:
            end: state and values; None if another process resumes the trial or its values are stored later.

        Returns:
            False, with nothing written, if this process no longer owns the trial.
        """

        def work(connection: Connection) -> None:
            try:
                drop_lease(connection, claim.lease)
            except LeaseLost:  # also raised when a retried call had already dropped the lease
                if not has_attributes(connection, claim.trial_id, values):
                    raise
                return
            put_attributes(connection, claim.trial_id, values)
            if end is not None:
                put_end(connection, claim.trial_id, end)

        return self._run(claim, work)

    def renew(self) -> None:
        """Renew all leases, and mark trials that were taken over as lost."""
        with self._lock:
            for trial in list(self._trials.values()):
                renewed = renew_lease(self._storage, trial.lease, self._clock.time())
                trial.lost = trial.lost or renewed is None
                trial.lease = renewed or trial.lease

    def _run(self, trial: RunningTrial, work: Callable[[Connection], None]) -> bool:
        """Execute statements on a trial; return False if this process no longer owns it."""
        try:
            self._storage.run(work)
        except LeaseLost:
            trial.lost = True
            return False
        return True

    def start_renewing(self) -> None:
        """Renew all leases from a thread until `close` is called."""
        threading.Thread(target=self._renew_forever, name="leases", daemon=True).start()

    def close(self) -> None:
        """Release all trials, and stop renewing their leases."""
        self._stop.set()
        with suppress(*DATABASE_ERRORS, StorageReplaced):  # without the storage, the leases expire
            for number in self.numbers():
                self.release(number)

    def _renew_forever(self) -> None:
        while not self._stop.wait(RENEWAL):
            with suppress(*DATABASE_ERRORS, StorageReplaced):  # the next renewal tries again
                self.renew()
