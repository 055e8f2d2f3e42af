"""Leases: whose a running trial is.

A lease has a token of its own, names host, boot, process and when the process started, and is renewed. Whoever writes
of a trial does so only while the token still stands, in the same transaction: a driver that was stopped, lost its lease
and woke up again writes nothing. Nobody's clock is trusted but one's own: a lease is lost when its holder is seen to be
dead on this host, or when it was not renewed while it was watched for a whole term.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sql
import sqlalchemy.exc
from optuna.trial import TrialState

from ratio_hpo.core.clock import CLOCK, Clock
from ratio_hpo.study.processes import boot_id, host_name, is_alive, own_start
from ratio_hpo.study.retrying_storage import RetryingStorage
from ratio_hpo.study.tables import (
    ATTRIBUTES,
    DONE,
    INSERTS,
    LAST,
    LEASES,
    TRIALS,
    lock_study,
    new_trial,
    putting,
    start_trial,
    writer_of,
)

T = TypeVar("T")

TERM = 60.0
"""Seconds that a lease must go without renewal, as one watches it, until it is lost."""

RENEWAL = 15.0
"""Seconds between renewals, and the most that counts between two looks: what was not looked at was not watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claim to a trial.

    Attributes:
        trial_id: Optuna's.
        token: of this claim alone.
        host: name of the host, with its process namespace.
        boot: id of the host's boot.
        pid, started: process and when it started, in clock ticks since boot (elsewhere in seconds since the epoch).
        beats: how often it was renewed.
        renewed: when it was last, in seconds since the epoch by its holder's clock, for people to read.
    """

    trial_id: int
    token: str
    host: str
    boot: str
    pid: int
    started: float
    beats: int = 0
    renewed: float = 0.0

    @property
    def holder(self) -> str:
        """Host and process."""
        return f"{self.host.split('/')[0]}:{self.pid}"

    @property
    def is_here(self) -> bool:
        """Whether its holder is, or was, a process of this host since it was started."""
        return (self.host, self.boot) == (host_name(), boot_id())

    def is_orphaned(self) -> bool:
        """Whether its holder is known to be dead."""
        return self.is_here and not is_alive(self.pid, self.started)

    def seems_live(self, now: float) -> bool:
        """What a reader takes it for: it cannot watch, and goes by the holder's clock."""
        return not self.is_orphaned() and now - self.renewed < TERM


def own_lease(trial_id: int, clock: Clock = CLOCK) -> Lease:
    """A fresh lease of this process."""
    return Lease(trial_id=trial_id, token=uuid.uuid4().hex, host=host_name(), boot=boot_id(), pid=os.getpid(),
                 started=own_start(os.getpid()), renewed=clock.time())  # fmt: skip


class LeaseWatch:
    """Judges leases of others by what this process has seen of them."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._seen: dict[int, tuple[str, int, float, float]] = {}

    def is_lost(self, lease: Lease) -> bool:
        """Whether its holder is dead here, or it was watched for a whole term and not renewed."""
        return lease.is_orphaned() or self.waited(lease) >= TERM

    def waited(self, lease: Lease) -> float:
        """Seconds that it was watched since its last renewal; times without a look do not count."""
        now = self._clock.monotonic()
        token, beats, waited, last = self._seen.get(lease.trial_id, ("", -1, 0.0, now))
        waited = waited + min(now - last, RENEWAL) if (token, beats) == (lease.token, lease.beats) else 0.0
        self._seen[lease.trial_id] = (lease.token, lease.beats, waited, now)
        return waited


def lease_of(row: Any) -> Lease:
    """A lease from its row in the table."""
    return Lease(trial_id=row.trial_id, token=row.token, beats=row.beats, renewed=row.renewed, **json.loads(row.holder))


def begin_trial(
    storage: RetryingStorage, study_id: int, mine: Lease, count: int, waiting: int | None, write: Callable[..., None]
) -> int | None:
    """Begin a trial and take its lease, in one transaction, which nobody else begins one beside.

    Args:
        mine: its trial is not known yet.
        count: trials that the study is taken to have.
        waiting: Optuna's id of the trial that waits; None: a new one is made.
        write: writes what else there is of it, given the connection and its id.

    Returns:
        Optuna's id of it; None where the study is not as it was taken to be any more.
    """

    def work(connection: sql.Connection) -> int | None:
        at = datetime.fromtimestamp(mine.renewed)
        lock_study(connection, study_id)
        taken, last = connection.execute(_BEFORE, {"by": mine.token, "of": study_id}).one()
        if taken is not None:  # it was cut off after it was written
            return taken
        if waiting is not None:
            begun = start_trial(connection, waiting, at)
        elif count == (0 if last is None else last + 1):
            begun = new_trial(connection, study_id, count, at)
        else:
            return None
        if begun is not None:
            connection.execute(sql.insert(LEASES).values(trial_id=begun, **_content(mine)))
            write(connection, begun)
        return begun

    return storage.run(work)


def take_lease(
    storage: RetryingStorage, mine: Lease, over: Lease | None, read: Callable[[sql.Connection], T]
) -> T | None:
    """Take the lease of a trial that has work left and no holder, or whose holder is lost.

    What was seen of the trial before may be old: its holder may have gone on with it, or ended it, in between. So the
    statement that takes the lease asks whether there is work left, and the trial is read again in its transaction.

    Args:
        over: the lease that was seen to be lost; None: none was seen.
        read: reads the trial, once the lease is taken.

    Returns:
        What `read` gave; None where the trial has ended, or somebody else holds it.
    """
    work_left = sql.exists(
        sql.select(TRIALS.c.trial_id).where(TRIALS.c.trial_id == mine.trial_id, TRIALS.c.state == TrialState.RUNNING)
    ) & ~sql.exists(
        sql.select(ATTRIBUTES.c.trial_id).where(
            ATTRIBUTES.c.trial_id == mine.trial_id, ATTRIBUTES.c.key == DONE, ATTRIBUTES.c.value_json == "true"
        )
    )

    return _take(storage, mine, over, work_left, read)


def take_writer(storage: RetryingStorage, mine: Lease, over: Lease | None) -> bool:
    """Take the lease of whoever writes a study elsewhere, under `writer_of`; False where somebody else holds it."""
    return _take(storage, mine, over, sql.true(), lambda connection: True) or False


def read_lease(storage: RetryingStorage, trial_id: int) -> Lease | None:
    """The lease of a trial, or of a study's writer, as it is stored."""
    query = sql.select(LEASES).where(LEASES.c.trial_id == trial_id)
    row = storage.read(lambda connection: connection.execute(query).first())
    return None if row is None else lease_of(row)


def _take(
    storage: RetryingStorage, mine: Lease, over: Lease | None, allowed: Any, read: Callable[[sql.Connection], T]
) -> T | None:
    content = _content(mine)

    def work(connection: sql.Connection) -> T | None:
        if over is not None:
            still = (LEASES.c.trial_id == over.trial_id, LEASES.c.token == over.token, LEASES.c.beats == over.beats)
            taken = connection.execute(sql.update(LEASES).where(*still, allowed).values(**content)).rowcount == 1
        else:
            is_held = sql.exists(sql.select(LEASES.c.trial_id).where(LEASES.c.trial_id == mine.trial_id))
            row = sql.select(*(sql.literal(value) for value in (mine.trial_id, *content.values())))
            insert = sql.insert(LEASES).from_select(["trial_id", *content], row.where(~is_held, allowed))
            taken = connection.execute(insert).rowcount == 1
        return read(connection) if taken or connection.execute(_OURS, _named(mine)).first() is not None else None

    try:
        return storage.run(work)
    except sqlalchemy.exc.IntegrityError:  # two at once
        return None


def renew_lease(storage: RetryingStorage, mine: Lease, now: float) -> Lease | None:
    """The lease with another beat; None where it was lost."""
    fresh = replace(mine, beats=mine.beats + 1, renewed=now)
    values = {**_named(mine), "new_beats": fresh.beats, "new_renewed": now}
    renewed = storage.run(lambda connection: connection.execute(_RENEWED, values).rowcount, whole=False)
    return fresh if renewed == 1 else None


def drop_leases_of(storage: RetryingStorage, study_id: int) -> None:
    """Delete all leases of a study, whoever holds them."""
    of_study = sql.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    gone = sql.delete(LEASES).where(LEASES.c.trial_id.in_(of_study) | (LEASES.c.trial_id == writer_of(study_id)))
    storage.run(lambda connection: connection.execute(gone))


class LeaseLost(Exception):
    """Somebody else has taken over what we meant to write of."""


def drop_lease(connection: sql.Connection, mine: Lease) -> None:
    """Let go of what is ours, and go on with the transaction only where it was.

    Raises:
        LeaseLost: it was not; what was lost is left to whom it belongs.
    """
    _check(connection.execute(_DROPPED, _named(mine)), mine)


def put_while_held(connection: sql.Connection, mine: Lease, values: Mapping[str, Any]) -> None:
    """Set user attributes of a trial while its lease is ours, in one statement: the most frequent write there is.

    Raises:
        LeaseLost: it is not, and nothing was written.
    """
    named: dict[str, Any] = _named(mine)
    for k, (key, value) in enumerate(values.items()):
        named |= {f"key{k}": key, f"value{k}": json.dumps(value)}
    _check(connection.execute(_put(connection.dialect.name, len(values)), named), mine, len(values))


def _check(written: sql.CursorResult[Any], mine: Lease, rows: int = 1) -> None:
    if written.rowcount != rows:
        raise LeaseLost(f"trial {mine.trial_id}")


@cache
def _put(database: str, count: int) -> Any:
    """So many attributes, each a row of the lease that is held, which is locked with it."""
    held = sql.select(LEASES.c.trial_id).where(*_MINE).with_for_update().subquery("held")
    pairs = [(sql.bindparam(f"key{k}", type_=sql.String), sql.bindparam(f"value{k}", type_=sql.String))
             for k in range(count)]  # fmt: skip
    rows = sql.union_all(*(sql.select(held.c.trial_id, *pair).where(sql.true()) for pair in pairs))
    columns = [column.name for column in ATTRIBUTES.columns]
    put = putting(INSERTS[database](ATTRIBUTES).from_select(columns, rows), ATTRIBUTES)
    return put.execution_options(preserve_rowcount=True)


_MINE = (LEASES.c.trial_id == sql.bindparam("mine"), LEASES.c.token == sql.bindparam("by"))
_OURS = sql.select(LEASES.c.trial_id).where(*_MINE)
_BEFORE = sql.select(
    sql.select(LEASES.c.trial_id).where(LEASES.c.token == sql.bindparam("by")).scalar_subquery(), LAST.scalar_subquery()
)
"""The trial that is begun already, and the number of the study's last one."""
_DROPPED = sql.delete(LEASES).where(*_MINE)
_RENEWED = (
    sql.update(LEASES).where(*_MINE).values(beats=sql.bindparam("new_beats"), renewed=sql.bindparam("new_renewed"))
)


def _named(lease: Lease) -> dict[str, int | str]:
    return {"mine": lease.trial_id, "by": lease.token}


def _content(lease: Lease) -> dict[str, int | float | str]:
    """What is stored of a fresh lease, beside whose it is."""
    return {
        "token": lease.token,
        "holder": json.dumps({"host": lease.host, "boot": lease.boot, "pid": lease.pid, "started": lease.started}),
        "beats": 0,
        "renewed": lease.renewed,
    }
