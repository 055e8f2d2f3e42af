"""Trials that this process works on, and its claims to them in the storage."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from ratio_hpo.core.plans import TRIAL_PLAN
from ratio_hpo.core.trial import NOTHING, Params, Progress, Spent
from ratio_hpo.study import records as rec
from ratio_hpo.study.leases import RENEWAL, Lease, own_lease
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.tables import swap_attribute


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
        attempts: begun since its last new evaluation, this one included.
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
    """The trials of this process, by number, with their leases in the storage."""

    def __init__(self, storage: RDBStorage) -> None:
        self._storage = storage
        self._claims: dict[int, Claim] = {}
        self._stop = threading.Event()

    def __contains__(self, number: int) -> bool:
        return number in self._claims

    def __getitem__(self, number: int) -> Claim:
        return self._claims[number]

    def numbers(self) -> list[int]:
        return list(self._claims)

    def claim(self, trial_id: int, held: dict[str, Any] | None, attempts: int = 1) -> Claim | None:
        """Take the lease of a trial, if it still holds what was seen; None where somebody was faster."""
        lease = own_lease()
        if not swap_attribute(self._storage, trial_id, rec.LEASE, held, lease.to_json(), {rec.ATTEMPTS: attempts}):
            return None
        return Claim(trial_id=trial_id, lease=lease, attempts=attempts)

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

    def release(self, number: int) -> None:
        """Let go of a trial without ending it: that was no attempt."""
        claim = self.pop(number)
        if claim is not None:
            back = {rec.ATTEMPTS: max(claim.attempts - 1, 0)}
            swap_attribute(self._storage, claim.trial_id, rec.LEASE, claim.lease.to_json(), {}, back)

    def renew(self) -> None:
        """Renew all leases; one that was taken over is marked lost."""
        for number, claim in list(self._claims.items()):
            fresh = own_lease()
            if swap_attribute(self._storage, claim.trial_id, rec.LEASE, claim.lease.to_json(), fresh.to_json()):
                claim.lease = fresh
            elif number in self._claims:
                claim.lost = True

    def start_renewing(self) -> None:
        """Renew from a thread, until `close`."""
        threading.Thread(target=self._renew_forever, name="leases", daemon=True).start()

    def close(self) -> None:
        """Release everything, and stop renewing."""
        self._stop.set()
        for number in self.numbers():
            self.release(number)

    def _renew_forever(self) -> None:
        while not self._stop.wait(RENEWAL):
            with suppress(SQLAlchemyError):  # a storage that is locked or away for a moment: the next renewal counts
                self.renew()
