"""Trials that this process works on, and its claims to them in the storage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection

from ratio_hpo.core.clock import CLOCK, Clock
from ratio_hpo.core.plans import TRIAL_PLAN
from ratio_hpo.core.spent import NOTHING, Spent
from ratio_hpo.core.trial import Params, Progress
from ratio_hpo.study import records as rec
from ratio_hpo.study.leases import (
    ASKING,
    RENEWAL,
    TRIAL,
    Lease,
    LeaseLost,
    Watch,
    drop_lease,
    fence,
    own_lease,
    read_leases,
    renew_lease,
    take_lease,
)
from ratio_hpo.study.patience import DATABASE_ERRORS, PatientStorage
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.tables import put_attributes, put_end

QUIET, TURN = 5.0, 0.02
"""Seconds that another driver's turn is waited for before that is said, and between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A trial to work on.

    Attributes:
        seed: of its draw, dropout and head.
        position: stage and windows of its last recorded evaluation, where an earlier attempt got so far.
        spent: by earlier attempts.
    """

    number: int
    params: Params
    kind: str
    seed: int
    position: tuple[str, int] | None = None
    spent: Spent = NOTHING


@dataclass(slots=True, kw_only=True)
class Claim:
    """A trial that this process works on.

    Attributes:
        lost: somebody else has taken it over.
        prunable: whether the pruner may stop it.
        budget: attributed cost at its end; None: not known.
        attempts: begun since its last new evaluation, this one included, whose process died while its driver lived.
        adoptions: begun since then because the driver died.
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
    spent_before: Spent = NOTHING
    spent_again: Spent = NOTHING

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

    def job(self, number: int) -> Job:
        """What is left to do of it."""
        return Job(
            number=number,
            params=self.params,
            kind=self.kind,
            seed=self.seed,
            position=(self.curve[-1].stage, self.curve[-1].windows) if self.curve else None,
            spent=self.curve[-1].spent if self.curve else NOTHING,
        )


class Claims:
    """The trials of this process, by number, with their leases in the storage.

    Args:
        say: is told whom we wait for.
    """

    def __init__(self, storage: PatientStorage, clock: Clock = CLOCK, say: Callable[[str], None] | None = None) -> None:
        self._storage, self._clock, self._say = storage, clock, say
        self._claims: dict[int, Claim] = {}
        self._asking: Lease | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.watch = Watch(clock)

    def __contains__(self, number: int) -> bool:
        return number in self._claims

    def __getitem__(self, number: int) -> Claim:
        return self._claims[number]

    def numbers(self) -> list[int]:
        return list(self._claims)

    def claim(self, trial_id: int, held: Lease | None) -> Claim | None:
        """Take the lease of a trial that is free, or lost by another; None where somebody was faster."""
        lease = own_lease(TRIAL, trial_id, self._clock)
        return Claim(trial_id=trial_id, lease=lease) if take_lease(self._storage, lease, held) else None

    def add(self, number: int, claim: Claim) -> None:
        self._claims[number] = claim

    def get(self, number: int) -> Claim | None:
        """A trial that is still ours."""
        claim = self._claims.get(number)
        return None if claim is None or claim.lost else claim

    def pop(self, number: int) -> Claim | None:
        """Stop working on a trial; None where it is not ours any more."""
        claim = self._claims.pop(number, None)
        return None if claim is None or claim.lost else claim

    def write(self, claim: Claim, values: Mapping[str, Any]) -> bool:
        """Set attributes of a trial while it is ours; False, and nothing is written, where it is not any more."""
        return self._write(claim, values, None)

    def release(self, number: int) -> None:
        """Let go of a trial without ending it: that was no attempt."""
        claim = self.pop(number)
        if claim is None:
            return
        self.write(claim, {rec.ADOPTIONS: max(claim.adoptions - 1, 0)})
        drop_lease(self._storage, claim.lease)

    def finish(
        self, claim: Claim, values: Mapping[str, Any], end: tuple[TrialState, Sequence[float] | None] | None
    ) -> bool:
        """Set attributes of a trial and end it at once, then let go of it; False, and nothing is written, where it is
        not ours any more.

        Args:
            end: state and values; None: it did its work, and is told later.
        """
        written = self._write(claim, values, end)
        if written:  # not in the same transaction: one that was cut off is tried again, and must find its lease
            drop_lease(self._storage, claim.lease)
        return written

    def renew(self) -> None:
        """Renew all leases; one that was taken over is marked lost."""
        with self._lock:
            for claim in list(self._claims.values()):
                fresh = renew_lease(self._storage, claim.lease, self._clock.time())
                claim.lost = claim.lost or fresh is None
                claim.lease = fresh or claim.lease
            if self._asking is not None:
                renew_lease(self._storage, self._asking, self._clock.time())

    @contextmanager
    def asking(self, study_id: int) -> Iterator[None]:
        """Keep other drivers from counting trials and asking for one in between."""
        mine, began, told = own_lease(ASKING, study_id, self._clock), self._clock.monotonic(), False
        lost: Lease | None = None
        while not take_lease(self._storage, mine, lost):
            held = read_leases(self._storage, ASKING, [study_id]).get(study_id)
            lost = held if held is not None and self.watch.is_lost(held) else None
            if held is None or lost is not None:
                continue
            if not told and self._clock.monotonic() - began > QUIET:
                told = True
                if self._say is not None:
                    self._say(f"waiting for {held.holder}, which asks for a trial; it is passed over where it is dead")
            self._clock.sleep(TURN)
        self._asking = mine
        try:
            yield
        finally:
            self._asking = None
            drop_lease(self._storage, mine)

    def _write(
        self, claim: Claim, values: Mapping[str, Any], end: tuple[TrialState, Sequence[float] | None] | None
    ) -> bool:
        def work(connection: Connection) -> None:
            fence(connection, claim.lease)
            put_attributes(connection, claim.trial_id, values)
            if end is not None:
                put_end(connection, claim.trial_id, *end)

        try:
            self._storage.run(work)
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
        with suppress(*DATABASE_ERRORS):  # where it is gone, they are lost by themselves
            for number in self.numbers():
                self.release(number)

    def _renew_forever(self) -> None:
        while not self._stop.wait(RENEWAL):
            with suppress(*DATABASE_ERRORS):  # it was away for long: the next renewal counts
                self.renew()
