"""Leases: whose a running trial is, and whose turn it is to ask for one.

A lease has a token of its own, names host, boot, process and when the process started, and is renewed. Whoever writes
of a trial does so only while the token still stands, in the same transaction: a driver that was stopped, lost its lease
and woke up again writes nothing. Nobody's clock is trusted but one's own: a lease is lost when its holder is seen to be
dead on this host, or when it was not renewed while it was watched for a whole term.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import psutil
import sqlalchemy as sql
import sqlalchemy.exc

from ratio_hpo.core.clock import CLOCK, Clock
from ratio_hpo.study.patience import PatientStorage
from ratio_hpo.study.tables import LEASES, TRIALS

TERM = 60.0
"""Seconds that a lease must go without renewal, as one watches it, until it is lost."""

RENEWAL = 15.0
"""Seconds between renewals, and the most that counts between two looks: what was not looked at was not watched."""

TRIAL, ASKING = "trial", "asking"
"""What is leased: a trial, by Optuna's id; the right to ask for one, by Optuna's id of the study."""

Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claim.

    Attributes:
        kind, ref: to what.
        token: of this claim alone.
        host: name of the host, with its process namespace.
        boot: id of the host's boot.
        pid, started: process and when it started, in clock ticks since boot (elsewhere in seconds since the epoch).
        beats: how often it was renewed.
        renewed: when it was last, in seconds since the epoch by its holder's clock, for people to read.
    """

    kind: str
    ref: int
    token: str
    host: str
    boot: str
    pid: int
    started: float
    beats: int = 0
    renewed: float = 0.0

    @property
    def key(self) -> Key:
        return self.kind, self.ref

    @property
    def holder(self) -> str:
        """Host and process."""
        return f"{self.host.split('/')[0]}:{self.pid}"

    @property
    def is_here(self) -> bool:
        """Whether its holder is, or was, a process of this host since it was started."""
        return (self.host, self.boot) == (_host(), _boot())

    def is_orphaned(self) -> bool:
        """Whether its holder is known to be dead."""
        return self.is_here and not _alive(self.pid, self.started)

    def seems_live(self, now: float) -> bool:
        """What a reader takes it for: it cannot watch, and goes by the holder's clock."""
        return not self.is_orphaned() and now - self.renewed < TERM


def own_lease(kind: str, ref: int, clock: Clock = CLOCK) -> Lease:
    """A fresh lease of this process."""
    return Lease(kind=kind, ref=ref, token=uuid.uuid4().hex, host=_host(), boot=_boot(), pid=os.getpid(),
                 started=_start_of(os.getpid()), renewed=clock.time())  # fmt: skip


class Watch:
    """Judges leases of others by what this process has seen of them."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._seen: dict[Key, tuple[str, int, float, float]] = {}

    def is_lost(self, lease: Lease) -> bool:
        """Whether its holder is dead here, or it was watched for a whole term and not renewed."""
        return lease.is_orphaned() or self.waited(lease) >= TERM

    def waited(self, lease: Lease) -> float:
        """Seconds that it was watched since its last renewal; times without a look do not count."""
        now = self._clock.monotonic()
        token, beats, waited, last = self._seen.get(lease.key, ("", -1, 0.0, now))
        waited = waited + min(now - last, RENEWAL) if (token, beats) == (lease.token, lease.beats) else 0.0
        self._seen[lease.key] = (lease.token, lease.beats, waited, now)
        return waited


def read_leases(storage: PatientStorage, kind: str, refs: Iterable[int]) -> dict[int, Lease]:
    """Leases of a kind, by what they are of."""
    wanted = list(refs)
    if not wanted:
        return {}
    query = sql.select(LEASES).where(LEASES.c.kind == kind, LEASES.c.ref.in_(wanted))
    rows = storage.run(lambda connection: connection.execute(query).all())
    return {
        row.ref: Lease(
            kind=kind, ref=row.ref, token=row.token, beats=row.beats, renewed=row.renewed, **json.loads(row.holder)
        )
        for row in rows
    }


def take_lease(storage: PatientStorage, mine: Lease, over: Lease | None) -> bool:
    """Claim what is free, or take over a lease that is lost; False where somebody else was faster."""
    content = {
        "token": mine.token,
        "holder": json.dumps({"host": mine.host, "boot": mine.boot, "pid": mine.pid, "started": mine.started}),
        "beats": 0,
        "renewed": mine.renewed,
    }

    def work(connection: sql.Connection) -> bool:
        if over is not None:
            still = (*_at(over), LEASES.c.token == over.token, LEASES.c.beats == over.beats)
            taken = connection.execute(sql.update(LEASES).where(*still).values(**content)).rowcount == 1
        else:
            place = sql.insert(LEASES).from_select(
                ["kind", "ref", *content],
                sql.select(*(sql.literal(value) for value in (mine.kind, mine.ref, *content.values()))).where(
                    ~sql.exists(sql.select(LEASES.c.ref).where(*_at(mine)))
                ),
            )
            taken = connection.execute(place).rowcount == 1
        return taken or connection.execute(sql.select(LEASES.c.ref).where(*_ours(mine))).first() is not None

    try:
        return storage.run(work)
    except sqlalchemy.exc.IntegrityError:  # two at once
        return False


def renew_lease(storage: PatientStorage, mine: Lease, now: float) -> Lease | None:
    """The lease with another beat; None where it was lost."""
    fresh = replace(mine, beats=mine.beats + 1, renewed=now)
    update = sql.update(LEASES).where(*_ours(mine)).values(beats=fresh.beats, renewed=now)
    return fresh if storage.run(lambda connection: connection.execute(update).rowcount) == 1 else None


def drop_lease(storage: PatientStorage, mine: Lease) -> None:
    """Let go of what is ours; what was lost is left to whom it belongs."""
    storage.run(lambda connection: connection.execute(sql.delete(LEASES).where(*_ours(mine))))


def drop_leases_of(storage: PatientStorage, study_id: int) -> None:
    """Delete all leases of a study, whoever holds them."""
    of_study = sql.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    of_trials = sql.and_(LEASES.c.kind == TRIAL, LEASES.c.ref.in_(of_study))
    of_asking = sql.and_(LEASES.c.kind == ASKING, LEASES.c.ref == study_id)
    storage.run(lambda connection: connection.execute(sql.delete(LEASES).where(sql.or_(of_trials, of_asking))))


class LeaseLost(Exception):
    """Somebody else has taken over what we meant to write of."""


def fence(connection: sql.Connection, mine: Lease) -> None:
    """Go on with a transaction only while a lease is ours; nobody takes it over before the transaction ends.

    Raises:
        LeaseLost: it is not.
    """
    held = connection.execute(sql.update(LEASES).where(*_ours(mine)).values(token=mine.token))
    if held.rowcount != 1:
        raise LeaseLost(f"{mine.kind} {mine.ref}")


def _at(lease: Lease) -> tuple[sql.ColumnElement[bool], ...]:
    return LEASES.c.kind == lease.kind, LEASES.c.ref == lease.ref


def _ours(lease: Lease) -> tuple[sql.ColumnElement[bool], ...]:
    return *_at(lease), LEASES.c.token == lease.token


def _alive(pid: int, started: float) -> bool:
    try:
        return _start_of(pid) == started and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@cache
def _host() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = "pid"
    return f"{socket.gethostname()}/{namespace}"


@cache
def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.is_file() else str(int(psutil.boot_time()))


def _start_of(pid: int) -> float:
    """When a process started: in clock ticks since boot where the kernel tells, which no change of the clock moves.

    Raises:
        psutil.NoSuchProcess: there is none of that number.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        return float(stat.read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return psutil.Process(pid).create_time()
