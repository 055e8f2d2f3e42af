"""A storage that is locked, full, restarting or unavailable for a while: no failure, no data loss, one message."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
import sqlalchemy.exc

from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.errors import RatioHpoError
from ratio_hpo.core.retry import Clock
from ratio_hpo.core.trial import State
from ratio_hpo.storage import connect as storage
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.storage.leases import LEASES
from ratio_hpo.storage.retrying_storage import RetryingStorage, is_transient
from ratio_hpo.study import Study
from tests.conftest import RUNGS, Cluster, Hand, curve_objective, plan_of

Make = Callable[..., Study]

REASONS = {
    "locked": "database is locked",
    "full": "database or disk is full",
    "broken": "disk I/O error",
    "away": "server closed the connection unexpectedly",
}


@contextmanager
def outage(storage: RetryingStorage, every: int, length: int, reason: str = REASONS["locked"]) -> Iterator[list[str]]:
    """Make `length` consecutive statements fail once per `every` statements; yield the failed statements."""
    seen, failed, left = 0, [], 0

    def strike(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        nonlocal seen, left
        seen += 1
        if seen % every == 0:
            left = length
        if left > 0:
            left -= 1
            failed.append(statement)
            raise sqlite3.OperationalError(reason)

    sql.event.listen(storage.engine, "before_cursor_execute", strike)
    try:
        yield failed
    finally:
        sql.event.remove(storage.engine, "before_cursor_execute", strike)


def patient(study: Study, told: list[str]) -> Study:
    """A study that retries its storage with a simulated clock."""
    study.storage.patience, study.storage.say, study.storage.clock = 60.0, told.append, Hand()
    return study


@pytest.mark.parametrize("reason", REASONS)
def test_a_search_outlasts_hiccups(reason: str, open_study: Make, search: Make, tmp_path: Path) -> None:
    whole = search(open_study(plan_of("whole")), 8).records()
    told: list[str] = []
    study = patient(open_study(plan_of("struck")), told)
    with outage(study.storage, every=19, length=2, reason=REASONS[reason]) as failed:
        records = search(study, 8).records()
    assert len(failed) > 20
    assert [r.state for r in records] == [r.state for r in whole]
    assert [r.params for r in records] == [r.params for r in whole]
    assert [[p.windows for p in r.curve] for r in records] == [[p.windows for p in r.curve] for r in whole]
    assert told[0].startswith(f"storage: {REASONS[reason]}; retrying for up to 60 s")
    assert told[1].startswith("storage: available again after")


def test_each_kind_of_statement_may_fail_once(open_study: Make, search: Make) -> None:
    study = patient(open_study(pruner=("none", {}), sampler=("random", {})), [])
    seen: set[str] = set()

    def strike(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement not in seen:
            seen.add(statement)
            raise sqlite3.OperationalError(REASONS["locked"])

    sql.event.listen(study.storage.engine, "before_cursor_execute", strike)
    records = search(study, 3).records()
    assert len(seen) > 12
    assert [r.state for r in records] == [State.COMPLETE] * 3
    assert [len(r.curve) for r in records] == [len(RUNGS)] * 3


def test_what_was_written_and_is_tried_again_counts_once(open_study: Make, search: Make) -> None:
    """Simulate a connection that breaks after each committed transaction."""
    whole = search(open_study(plan_of("whole")), 8).records()
    study = open_study(plan_of("twice"))
    once = study.storage.run
    study.storage.run = lambda work, **how: (once(work, **how), once(work, **how))[1]  # type: ignore[method-assign]
    records = search(study, 8).records()
    study.close()
    assert [(r.state, r.params, r.values, r.reason) for r in records] == [
        (r.state, r.params, r.values, r.reason) for r in whole
    ]
    assert [[p.windows for p in r.curve] for r in records] == [[p.windows for p in r.curve] for r in whole]
    with study.storage.engine.connect() as connection:
        assert connection.execute(sql.select(LEASES)).all() == []


def test_patience_ends(open_study: Make) -> None:
    study = open_study()
    study.storage.patience = 0.3
    with outage(study.storage, every=1, length=1), pytest.raises(Exception, match="locked") as told:
        study.next(1)
    assert is_transient(told.value)


@pytest.mark.parametrize("reason", ["no such table: trials", "permission denied", "malformed"])
def test_what_no_waiting_mends_is_not_waited_for(reason: str, open_study: Make) -> None:
    study = patient(open_study(), told := [])
    began = time.monotonic()
    with outage(study.storage, every=1, length=1, reason=reason), pytest.raises(Exception, match=reason.split(":")[0]):
        study.next(1)
    assert time.monotonic() - began < 5
    assert not told


def test_a_connection_that_was_opened_to_read_only_is_opened_again(open_study: Make, search: Make) -> None:
    """SQLite opens a read-only connection if the file cannot be opened for writing at that moment."""
    study = patient(open_study(), told := [])
    with study.storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=1")
    assert [r.state for r in search(study, 3).records()] == [State.COMPLETE] * 3
    assert told == [], "a connection that was dropped is made again at once"


def test_a_file_that_another_process_locks_is_waited_for(tmp_path: Path, open_study: Make, search: Make) -> None:
    told: list[str] = []
    study = patient(open_study(pruner=("none", {}), sampler=("random", {})), told)
    study.storage.clock = Clock()
    with study.storage.engine.connect() as connection:
        connection.execute(sql.text("PRAGMA busy_timeout=50"))  # the single connection of the pool keeps this setting
    holder = sqlite3.connect(Path(study.storage.engine.url.database or ""), check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    threading.Timer(1.5, holder.rollback).start()
    records = search(study, 2).records()
    assert [record.state for record in records] == [State.COMPLETE] * 2
    assert "locked" in told[0]
    holder.close()


@pytest.mark.slow
def test_a_search_outlasts_a_restart_of_postgresql(tmp_path: Path) -> None:
    try:
        cluster = Cluster()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    told: list[str] = []
    try:
        storage = open_storage(cluster.url)
        storage.patience, storage.say = 120.0, told.append
        study = Study(plan_of("restarted"), storage, pruner=("none", {}), sampler=("random", {}))

        def restart() -> None:
            for _ in range(3):
                time.sleep(0.7)
                cluster.stop()
                time.sleep(1.0)
                cluster.start()

        def slow(params: Any, context: Any) -> Iterator[Any]:
            for progress in curve_objective(params, context):
                time.sleep(0.1)
                yield progress

        thread = threading.Thread(target=restart)
        thread.start()
        study.running.start_renewing()
        run_local(Session(study=study, budget=Budget(trials=20), root=tmp_path), slow)
        thread.join()
        records = study.records()
        assert [record.state for record in records] == [State.COMPLETE] * 20
        assert [len(record.curve) for record in records] == [len(RUNGS)] * 20
        assert any("retrying" in line for line in told)
        storage.engine.dispose()
    finally:
        cluster.remove()


MAKER = """
import sys
from ratio_hpo.study import Study
from ratio_hpo.storage.connect import open_storage
from tests.conftest import plan_of
study = Study(plan_of("together"), open_storage(sys.argv[1]))
print(len(study.records()))
"""


@pytest.mark.slow
def test_several_drivers_make_the_tables_of_postgresql_at_once(cluster: Cluster) -> None:
    url = cluster.url.replace("/postgres?", "/fresh?")
    with sql.create_engine(cluster.url.replace("postgresql://", "postgresql+psycopg://")).connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(sql.text("CREATE DATABASE fresh"))
    drivers = [
        subprocess.Popen([sys.executable, "-c", MAKER, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ends = [driver.communicate(timeout=120) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0] * 4, ends
    assert {out.strip() for out, _ in ends} == {"2"}, "the baselines, once"


def test_a_default_storage_is_patient(tmp_path: Path) -> None:
    assert isinstance(open_storage(default_url(tmp_path)), RetryingStorage)
    assert not is_transient(sqlalchemy.exc.IntegrityError("", None, Exception("UNIQUE constraint failed")))


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (sqlite3.OperationalError("disk I/O error"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (sqlite3.DatabaseError("file is not a database"), False),
    ],
)
def test_a_storage_whose_disk_is_at_fault_may_be_opened_later(
    error: Exception, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, patience: float) -> None:
        raise error

    monkeypatch.setattr(storage, "_set_wal", fails)
    with pytest.raises(RatioHpoError) as refused:
        storage.open_storage(default_url(tmp_path))
    assert storage.is_passing(refused.value) is passes
