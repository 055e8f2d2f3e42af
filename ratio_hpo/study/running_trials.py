"""Trials that this process works on, and its claims to them in the storage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution
from sqlalchemy import Connection

from ratio_hpo.core.clock import CLOCK, Clock
from ratio_hpo.core.cost import NOTHING, PaidCost
from ratio_hpo.core.errors import StorageReplaced
from ratio_hpo.core.plans import TRIAL_PLAN
from ratio_hpo.core.trial import Params, Progress
from ratio_hpo.study import records as rec
from ratio_hpo.study.leases import (
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
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.retrying_storage import DATABASE_ERRORS, RetryingStorage
from ratio_hpo.study.tables import End, add_waiting, has_attributes, lock_study, put_attributes, put_end, put_params

UNKNOWN = -1
"""The id of a trial that is not begun yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialAssignment:
    """A trial to work on.

    Attributes:
        seed: of its draw, dropout and head.
        position: stage and windows of its last recorded evaluation, where an earlier attempt got so far.
        smaller: attempts in this process that ran out of memory.
        spent: by earlier attempts.
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
    """What a trial is begun with.

    Attributes:
        place: in the space, as Optuna holds it, with the domain of each coordinate.
        siblings: attributes of trials that are to wait from then on.
    """

    attributes: Mapping[str, Any]
    place: Mapping[str, float]
    domains: Mapping[str, BaseDistribution]
    step_sweeps: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True, kw_only=True)
class RunningTrial:
    """A trial that this process works on.

    Attributes:
        lost: somebody else has taken it over.
        prunable: whether the pruner may stop it.
        budget: attributed cost at its end; None: not known.
        attempts: begun since its last new evaluation, this one included, whose process died while its driver lived.
        adoptions: begun since then because the driver died.
        smaller: attempts in this process that ran out of memory.
        spent_before: before this process took it.
        spent_again: that by which a restarted worker's own account is short.
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
        """Of its last evaluation; 0 before the first."""
        return self.curve[-1].cost if self.curve else 0.0

    def fill(self, attributes: Mapping[str, Any]) -> None:
        """Put in what is stored of the trial: kind, parameters, seed, budget, whether it may be pruned."""
        self.kind, self.params, self.seed = attributes[rec.KIND], attributes[rec.PARAMS], attributes[rec.SEED]
        self.budget = TRIAL_PLAN.validate_python(attributes[rec.PLAN]).cost
        self.prunable = self.kind == "sampled" or bool(attributes.get(rec.PRUNABLE))
        self.spent_before = self.curve[-1].spent if self.curve else NOTHING

    def is_end(self, progress: Progress, plan: StudyPlan) -> bool:
        """Whether a trial has run to its budget: then it is COMPLETE, whatever the pruner says."""
        if self.budget is not None:
            return progress.cost >= self.budget
        last_stage, grid = list(plan.rungs.items())[-1]
        at_last_rung = progress.stage == last_stage and progress.windows >= grid[-1]
        return at_last_rung or progress.cost >= plan.largest_cost

    def job(self, number: int) -> TrialAssignment:
        """What is left to do of it, in another process."""
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
    """The trials of this process, by number, with their leases in the storage."""

    def __init__(self, storage: RetryingStorage, clock: Clock = CLOCK) -> None:
        self._storage, self._clock = storage, clock
        self._claims: dict[int, RunningTrial] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.watch = LeaseWatch(clock)

    def __contains__(self, number: int) -> bool:
        return number in self._claims

    def __getitem__(self, number: int) -> RunningTrial:
        return self._claims[number]

    def numbers(self) -> list[int]:
        return list(self._claims)

    def held(self) -> set[int]:
        """The trials that nobody else writes of."""
        return {number for number, claim in list(self._claims.items()) if not claim.lost}

    def begin(self, study_id: int, count: int, waiting: int | None, content: TrialInit | None) -> RunningTrial | None:
        """Begin the trial that waits, or a new one; None where the study is not as it was looked at any more.

        Args:
            count: trials that it had.
            waiting: Optuna's id of the one that waits; None: a new one is made.
            content: written with it; None: it comes later, or cannot be had.
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
        """Take the lease of a trial that is free, or lost by another; None where it has ended, or somebody was faster.

        Returns:
            What this process knows of it now, and the trial as it was stored when the lease was taken.
        """
        lease = own_lease(trial_id, self._clock)
        stored = take_lease(self._storage, lease, held, partial(rec.read_trial, study_id=study_id, trial_id=trial_id))
        return None if stored is None else (RunningTrial(trial_id=trial_id, lease=lease), stored)

    def add(self, number: int, claim: RunningTrial) -> None:
        self._claims[number] = claim

    def get(self, number: int) -> RunningTrial | None:
        """A trial that is still ours."""
        claim = self._claims.get(number)
        return None if claim is None or claim.lost else claim

    def pop(self, number: int) -> RunningTrial | None:
        """Stop working on a trial; None where it is not ours any more."""
        claim = self._claims.pop(number, None)
        return None if claim is None or claim.lost else claim

    def write(self, claim: RunningTrial, values: Mapping[str, Any]) -> bool:
        """Set attributes of a trial while it is ours; False, and nothing is written, where it is not any more."""
        return self._run(claim, lambda connection: put_while_held(connection, claim.lease, values), whole=False)

    def settle(self, study_id: int, claim: RunningTrial, content: TrialInit) -> bool:
        """Write what a trial that was begun before lacks, while it is ours; False where it is not any more."""

        def work(connection: Connection) -> None:
            if content.step_sweeps:
                lock_study(connection, study_id)
                if has_attributes(connection, claim.trial_id, content.attributes):  # cut off after it was written
                    return
                add_waiting(connection, study_id, content.step_sweeps)
            put_while_held(connection, claim.lease, content.attributes)
            put_params(connection, claim.trial_id, content.place, content.domains)

        return self._run(claim, work)

    def release(self, number: int) -> None:
        """Let go of a trial without ending it: that was no attempt."""
        claim = self.pop(number)
        if claim is None:
            return
        self.finish(claim, {rec.ADOPTIONS: max(claim.adoptions - 1, 0)}, None)

    def finish(self, claim: RunningTrial, values: Mapping[str, Any], end: End | None) -> bool:
        """Set attributes of a trial and end it at once, then let go of it; False, and nothing is written, where it is
        not ours any more.

        Args:
            end: None: it goes on in other hands, or did its work and is told later.
        """

        def work(connection: Connection) -> None:
            try:
                drop_lease(connection, claim.lease)
            except LeaseLost:  # by ourselves, where this is tried again after it was written and then cut off
                if not has_attributes(connection, claim.trial_id, values):
                    raise
                return
            put_attributes(connection, claim.trial_id, values)
            if end is not None:
                put_end(connection, claim.trial_id, end)

        return self._run(claim, work)

    def renew(self) -> None:
        """Renew all leases; one that was taken over is marked lost."""
        with self._lock:
            for claim in list(self._claims.values()):
                fresh = renew_lease(self._storage, claim.lease, self._clock.time())
                claim.lost = claim.lost or fresh is None
                claim.lease = fresh or claim.lease

    def _run(self, claim: RunningTrial, work: Callable[[Connection], None], *, whole: bool = True) -> bool:
        """Write of a trial; False where it is not ours any more."""
        try:
            self._storage.run(work, whole=whole)
        except LeaseLost:
            claim.lost = True
            return False
        return True

    def start_renewing(self) -> None:
        """Renew from a thread, until `close`."""
        threading.Thread(target=self._renew_forever, name="leases", daemon=True).start()

    def close(self) -> None:
        """Release everything, and stop renewing."""
        self._stop.set()
        with suppress(*DATABASE_ERRORS, StorageReplaced):  # where it is gone, they are lost by themselves
            for number in self.numbers():
                self.release(number)

    def _renew_forever(self) -> None:
        while not self._stop.wait(RENEWAL):
            with suppress(*DATABASE_ERRORS, StorageReplaced):  # it was away for long: the next renewal counts
                self.renew()
