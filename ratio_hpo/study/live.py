"""Trials that this process works on."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from ratio_hpo.core.trial import NOTHING, Params, Progress, Spent
from ratio_hpo.study.leases import RENEWAL, Lease, own_lease
from ratio_hpo.study.records import LEASE
from ratio_hpo.study.storage import swap_attribute


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A trial to work on.

    Attributes:
        position: stage and windows of its last recorded evaluation, where an earlier attempt got so far.
        spent: by earlier attempts.
    """

    number: int
    params: Params
    kind: str
    position: tuple[str, int] | None = None
    spent: Spent = NOTHING


@dataclass(slots=True)
class Live:
    """A trial that this process works on.

    Attributes:
        lost: somebody else has taken it over.
        budget: attributed cost at its end; None: not known.
        spent_before: before this process took it.
        spent_again: that by which a restarted worker's own account is short.
    """

    trial_id: int
    kind: str
    lease: Lease
    curve: list[Progress] = field(default_factory=list)
    lost: bool = False
    budget: float | None = None
    spent_before: Spent = NOTHING
    spent_again: Spent = NOTHING

    @property
    def is_anchor(self) -> bool:
        return self.kind not in ("sampled", "enqueued")


class LiveTrials:
    """The trials of this process, by number, with their leases in the storage."""

    def __init__(self, storage: RDBStorage) -> None:
        self._storage = storage
        self._trials: dict[int, Live] = {}
        self._stop = threading.Event()

    def __contains__(self, number: int) -> bool:
        return number in self._trials

    def __getitem__(self, number: int) -> Live:
        return self._trials[number]

    def numbers(self) -> list[int]:
        return list(self._trials)

    def claim(self, trial_id: int, held: dict[str, Any] | None) -> Live | None:
        """Take the lease of a trial, if it still holds what was seen; None where somebody was faster."""
        lease = own_lease()
        if not swap_attribute(self._storage, trial_id, LEASE, held, lease.to_json()):
            return None
        return Live(trial_id=trial_id, kind="sampled", lease=lease)

    def add(self, number: int, live: Live) -> None:
        self._trials[number] = live

    def get(self, number: int) -> Live | None:
        """A trial that is still ours."""
        live = self._trials.get(number)
        return None if live is None or live.lost else live

    def pop(self, number: int) -> Live | None:
        """Stop working on a trial; None where it is not ours any more."""
        live = self._trials.pop(number, None)
        return None if live is None or live.lost else live

    def release(self, number: int) -> None:
        """Let go of a trial without ending it."""
        live = self.pop(number)
        if live is not None:
            swap_attribute(self._storage, live.trial_id, LEASE, live.lease.to_json(), {})

    def renew(self) -> None:
        """Renew all leases; one that was taken over is marked lost."""
        for number, live in list(self._trials.items()):
            fresh = own_lease()
            if swap_attribute(self._storage, live.trial_id, LEASE, live.lease.to_json(), fresh.to_json()):
                live.lease = fresh
            elif number in self._trials:
                live.lost = True

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
