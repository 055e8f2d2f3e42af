"""Leases: identify the process that owns a running trial.

A lease has a unique token, identifies host, boot, process and process start time, and is renewed regularly. Every write
to a trial checks the token in the same transaction, so a driver that was suspended and has lost its lease writes
nothing. Expiry is judged by the observer's own clock: a lease is lost if its holder is known to be dead on this host,
or if it was observed for a whole term without being renewed.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from typing import Any, TypeVar

import sqlalchemy as sql
import sqlalchemy.exc
from optuna.trial import TrialState

from ratio_hpo.core.retry import CLOCK, Clock
from ratio_hpo.storage import schema
from ratio_hpo.storage.processes import boot_id, host_name, is_alive, own_start
from ratio_hpo.storage.retrying_storage import RetryingStorage

T = TypeVar("T")

TERM = 60.0
"""Seconds after which a lease is lost if the observer sees no renewal."""

RENEWAL = 15.0
"""Seconds between renewals; also the maximum time that counts as observed between two checks."""

LEASES = sql.Table(
    "ratio_hpo_trial_leases",
    sql.MetaData(),
    sql.Column("trial_id", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("token", sql.String(32), nullable=False),
    sql.Column("holder", sql.Text, nullable=False),
    sql.Column("beats", sql.Integer, nullable=False),
    sql.Column("renewed", sql.Float, nullable=False),
)
"""Our own table, with the lease of each running trial and of each study's writer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease of a running trial.

    Attributes:
        trial_id: Optuna's id of the trial.
        token: unique token of this lease.
        host: name of the host, with its process namespace.
        boot: id of the host's boot.
        pid, started: process id and start time, in clock ticks since boot (without `/proc`: seconds since the epoch).
        beats: number of renewals.
        renewed: time of the last renewal, in seconds since the epoch by the holder's clock; for display.
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
        """Host and process id of the holder, for display."""
        return f"{self.host.split('/')[0]}:{self.pid}"

    def is_orphaned(self) -> bool:
        """Return whether the holder is known to be dead: a process of the current boot of this host that has ended."""
        return (self.host, self.boot) == (host_name(), boot_id()) and not is_alive(self.pid, self.started)

    def seems_live(self, now: float) -> bool:
        """Return whether a reader shows the lease as active; a reader cannot observe it and uses the holder's clock."""
        return not self.is_orphaned() and now - self.renewed < TERM


def own_lease(trial_id: int, clock: Clock = CLOCK) -> Lease:
    """Return a new lease that is held by this process."""
    return Lease(trial_id=trial_id, token=uuid.uuid4().hex, host=host_name(), boot=boot_id(), pid=os.getpid(),
                 started=own_start(os.getpid()), renewed=clock.time())  # fmt: skip


class LeaseWatch:
    """Detects lost leases of other processes by observing their renewals."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._observed: dict[int, tuple[str, int, float, float]] = {}

    def is_lost(self, lease: Lease) -> bool:
        """Return whether the holder is dead on this host, or a whole term was observed without renewal.

        A gap between two checks counts as at most `RENEWAL` seconds of observation.
        """
        if lease.is_orphaned():
            return True
        now = self._clock.monotonic()
        token, beats, waited, last = self._observed.get(lease.trial_id, ("", -1, 0.0, now))
        waited = waited + min(now - last, RENEWAL) if (token, beats) == (lease.token, lease.beats) else 0.0
        self._observed[lease.trial_id] = (lease.token, lease.beats, waited, now)
        return waited >= TERM


def writer_of(study_id: int) -> int:
    """Return the number that stands for a trial id in the lease of a study's writer."""
    return -study_id


def lease_of(row: Any) -> Lease:
    """Return the lease that a row of the table stores."""
    return Lease(trial_id=row.trial_id, token=row.token, beats=row.beats, renewed=row.renewed, **json.loads(row.holder))


def begin_trial(
    storage: RetryingStorage, study_id: int, mine: Lease, count: int, waiting: int | None, write: Callable[..., None]
) -> int | None:
    """Start a trial and take its lease in one transaction, during which no other driver can start one.

    Args:
        mine: the new lease; its `trial_id` is not used.
        count: expected number of trials of the study.
        waiting: Optuna's id of the waiting trial to start; None to create a new trial.
        write: called with the connection and the trial's id to write its other data.

    Returns:
        Optuna's id of the trial; None if the study is no longer as expected.
    """

    def work(connection: sql.Connection) -> int | None:
        now = datetime.fromtimestamp(mine.renewed)
        schema.lock_study(connection, study_id)
        started, last = connection.execute(_BEFORE, {"by": mine.token, "of": study_id}).one()
        if started is not None:  # an earlier attempt was interrupted after it was committed
            return started
        if waiting is not None:
            trial_id = schema.start_trial(connection, waiting, now)
        elif count == (0 if last is None else last + 1):
            trial_id = schema.new_trial(connection, study_id, count, TrialState.RUNNING, now)
        else:
            return None
        if trial_id is not None:
            connection.execute(sql.insert(LEASES).values(trial_id=trial_id, **_columns(mine)))
            write(connection, trial_id)
        return trial_id

    return storage.run(work)


def take_lease(
    storage: RetryingStorage, mine: Lease, over: Lease | None, read: Callable[[sql.Connection], T]
) -> T | None:
    """Take the lease of a trial that is not done and has no holder, or whose lease is lost.

    An earlier reading of the trial may be outdated, because its holder may have continued or ended it since. Therefore
    the statement that takes the lease checks that the trial is not done, and its transaction reads the trial again.

    Args:
        mine: the new lease.
        over: the lost lease to replace; None if the trial had no lease.
        read: reads the trial after the lease is taken.

    Returns:
        The result of `read`; None if the trial has ended or another process holds its lease.
    """
    return _take(storage, mine, over, schema.has_work_left(mine.trial_id), read)


def take_writer(storage: RetryingStorage, mine: Lease, over: Lease | None) -> bool:
    """Take the lease for writing a study to a tracker, stored under `writer_of`; False if another process holds it."""
    return _take(storage, mine, over, sql.true(), lambda connection: True) or False


def read_lease(storage: RetryingStorage, trial_id: int) -> Lease | None:
    """Return the stored lease of a trial or of a study's writer; None if there is none."""
    return storage.read(partial(read_leases, trial_ids=[trial_id])).get(trial_id)


def read_leases(connection: sql.Connection, trial_ids: Sequence[int]) -> dict[int, Lease]:
    """Return the stored leases of trials, by trial id, within a transaction."""
    rows = connection.execute(sql.select(LEASES).where(LEASES.c.trial_id.in_(trial_ids)))
    return {row.trial_id: lease_of(row) for row in rows}


def _take(
    storage: RetryingStorage,
    mine: Lease,
    over: Lease | None,
    allowed: sql.ColumnElement[bool],
    read: Callable[[sql.Connection], T],
) -> T | None:
    columns = _columns(mine)

    def work(connection: sql.Connection) -> T | None:
        if over is not None:
            is_same = (LEASES.c.trial_id == over.trial_id, LEASES.c.token == over.token, LEASES.c.beats == over.beats)
            taken = connection.execute(sql.update(LEASES).where(*is_same, allowed).values(**columns)).rowcount == 1
        else:
            is_held = sql.exists(sql.select(LEASES.c.trial_id).where(LEASES.c.trial_id == mine.trial_id))
            row = sql.select(*(sql.literal(value) for value in (mine.trial_id, *columns.values())))
            insert = sql.insert(LEASES).from_select(["trial_id", *columns], row.where(~is_held, allowed))
            taken = connection.execute(insert).rowcount == 1
        return read(connection) if taken or connection.execute(_HELD, _binds(mine)).first() is not None else None

    try:
        return storage.run(work)
    except sqlalchemy.exc.IntegrityError:  # two processes inserted a lease at once
        return None


def renew_lease(storage: RetryingStorage, mine: Lease, now: float) -> Lease | None:
    """Renew a lease and return it; None if it was lost."""
    fresh = replace(mine, beats=mine.beats + 1, renewed=now)
    values = {**_binds(mine), "new_beats": fresh.beats, "new_renewed": now}
    renewed = storage.run(lambda connection: connection.execute(_RENEW, values).rowcount)
    return fresh if renewed == 1 else None


def drop_leases_of(storage: RetryingStorage, study_id: int) -> None:
    """Delete all leases of a study, regardless of their holders."""
    of_study = LEASES.c.trial_id.in_(schema.trial_ids(study_id)) | (LEASES.c.trial_id == writer_of(study_id))
    delete = sql.delete(LEASES).where(of_study)
    storage.run(lambda connection: connection.execute(delete))


class LeaseLost(Exception):
    """Another process has taken over the trial that this process tried to write to."""


def drop_lease(connection: sql.Connection, mine: Lease) -> None:
    """Release a lease; the transaction continues only if the lease was still held.

    Raises:
        LeaseLost: the lease was lost; the lease of the new holder is not changed.
    """
    _check(connection.execute(_DROP, _binds(mine)), mine)


def put_while_held(connection: sql.Connection, mine: Lease, values: Mapping[str, object]) -> None:
    """Set user attributes of a trial if its lease is still held; one statement, since this is the most frequent write.

    Raises:
        LeaseLost: the lease was lost; nothing was written.
    """
    binds = _binds(mine)
    for k, (key, value) in enumerate(values.items()):
        binds |= {f"key{k}": key, f"value{k}": json.dumps(value)}
    _check(connection.execute(_put(connection.dialect.name, len(values)), binds), mine, len(values))


def _check(written: sql.CursorResult[Any], mine: Lease, rows: int = 1) -> None:
    if written.rowcount != rows:
        raise LeaseLost(f"trial {mine.trial_id}")


@cache
def _put(database: str, count: int) -> Any:
    """Return a statement that sets `count` attributes if the lease is held; it locks the row of the lease."""
    lease = sql.select(LEASES.c.trial_id).where(*_IS_MINE).with_for_update().subquery("held")
    pairs = [(sql.bindparam(f"key{k}", type_=sql.String), sql.bindparam(f"value{k}", type_=sql.String))
             for k in range(count)]  # fmt: skip
    rows = sql.union_all(*(sql.select(lease.c.trial_id, *pair).where(sql.true()) for pair in pairs))
    return schema.put_selected_attributes(database, rows).execution_options(preserve_rowcount=True)


_IS_MINE = (LEASES.c.trial_id == sql.bindparam("mine"), LEASES.c.token == sql.bindparam("by"))
_HELD = sql.select(LEASES.c.trial_id).where(*_IS_MINE)
_BEFORE = sql.select(
    sql.select(LEASES.c.trial_id).where(LEASES.c.token == sql.bindparam("by")).scalar_subquery(),
    schema.LAST.scalar_subquery(),
)
"""Id of the trial that this lease has already started, and number of the study's last trial."""
_DROP = sql.delete(LEASES).where(*_IS_MINE)
_RENEW = (
    sql.update(LEASES).where(*_IS_MINE).values(beats=sql.bindparam("new_beats"), renewed=sql.bindparam("new_renewed"))
)


def _binds(lease: Lease) -> dict[str, int | str]:
    return {"mine": lease.trial_id, "by": lease.token}


def _columns(lease: Lease) -> dict[str, int | float | str]:
    """Return the stored columns of a new lease, without the trial's id."""
    return {
        "token": lease.token,
        "holder": json.dumps({"host": lease.host, "boot": lease.boot, "pid": lease.pid, "started": lease.started}),
        "beats": 0,
        "renewed": lease.renewed,
    }
