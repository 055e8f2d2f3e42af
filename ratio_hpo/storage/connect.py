"""Open the Optuna storage, and describe its errors."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import optuna
import sqlalchemy as sql
import sqlalchemy.event
import sqlalchemy.exc

from ratio_hpo.core.errors import StorageError, StudyError, spelled
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import file_of, file_url, read_url, shown_url, with_driver
from ratio_hpo.storage.leases import LEASES
from ratio_hpo.storage.retrying_storage import DATABASE_ERRORS, RetryingStorage, of_database, reason_of
from ratio_hpo.storage.schema import INSERTS, check_tables

Storage = RetryingStorage
"""The storage class of studies."""

LOCK_TIMEOUT, READ_TIMEOUT, BUSY = 60.0, 5.0, 5.0
"""Seconds to wait for the lock of another process: when opening, when reading, and for each later statement."""

MAKING_TABLES = 0x726174696F
"""Key of the PostgreSQL advisory lock that is held while tables are created."""


def default_url(root: Path) -> str:
    """Return the URL of the SQLite file in a run folder."""
    return RunFolder(root).studies_url


def open_storage(
    url: str, *, create: bool = True, only_read: bool = False, patience: float = LOCK_TIMEOUT
) -> RetryingStorage:
    """Open a storage.

    SQLite is set to write-ahead logging, so that readers never wait for the writer.

    Args:
        url: `sqlite:///…` or `postgresql://…`.
        create: create a missing SQLite file and its parent folders.
        only_read: open for reading: do not create tables, do not compare versions, and do not wait long for a lock.
        patience: seconds to wait for the lock of another process.

    Raises:
        StudyError: the file, driver or server is missing, or the database is of an unsupported kind.
        StorageError: the file is locked, read-only, full or not a database.
    """
    check_tables()
    kind = read_url(with_driver(url)).get_backend_name()
    if kind not in INSERTS:
        raise StudyError(f"{shown_url(url)}: {kind} is not supported; use {' or '.join(INSERTS)}")
    path, url = file_of(url), with_driver(url)
    if path is not None:
        url = file_url(path)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    if path is not None and not create and not path.is_file():
        raise StudyError(f"{path}: no studies here yet; run `ratio-hpo search`, or name the folder with ⟨root⟩")
    try:
        if path is None:
            with nullcontext() if only_read else _table_lock(url):
                storage = _create_storage(url, checked=not only_read)
                storage.engine.connect().close()
            return storage
        if only_read:
            return _create_storage(_read_only_url(path), checked=False, timeout=READ_TIMEOUT)
        _check_not_emptied(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # creating the tables from two drivers at once would fail
            _set_wal(path, patience)
            storage = _create_storage(url, checked=True, timeout=patience)
        sqlalchemy.event.listen(storage.engine, "connect", _set_pragmas)
        sqlalchemy.event.listen(storage.engine, "handle_error", partial(_reopen, path))
        storage.engine.dispose()
        return storage
    except (*DATABASE_ERRORS, sqlite3.Error, ImportError, OSError, RuntimeError, ValueError) as error:
        reason = reason_of(error)
        if path is not None and isinstance(of_database(error) or error, _FILE_ERRORS):
            raise StorageError(f"{path}: cannot be opened ({reason}); {_remedy(reason)}") from error
        raise StudyError(
            f"{shown_url(url)}: cannot be opened ({reason}); check the URL, the server and permissions"
        ) from error


_FILE_ERRORS = (OSError, sqlite3.Error, sqlalchemy.exc.OperationalError)
"""Errors of a SQLite file, and not of its address."""


def is_passing(error: BaseException) -> bool:
    """Return whether opening a storage failed because of its disk, so that a later attempt may succeed.

    A wrong address or missing permissions are permanent errors.
    """
    return is_fault(error) or "disk I/O error" in str(error)


def _reopen(path: Path, context: sqlalchemy.engine.ExceptionContext) -> None:
    """Discard a connection that SQLite opened as read-only although the file is writable."""
    if "readonly database" in str(context.original_exception) and all(
        os.access(p, os.W_OK) for p in (path, path.parent)
    ):
        context.is_disconnect = True


def _check_not_emptied(path: Path) -> None:
    """Check that a file has not lost its studies; a file that was never used may be empty.

    Raises:
        StorageError: the file is empty, but its folder records that it was used.
    """
    was_used = path == RunFolder(path.parent).studies and RunFolder(path.parent).storages.is_file()
    if path.is_file() and path.stat().st_size == 0 and was_used:
        raise StorageError(
            f"{path}: the file is empty, but it held studies before; restore it from a copy, or delete it to start anew"
        )


def _create_storage(url: str, *, checked: bool, timeout: float | None = None) -> RetryingStorage:
    """Return the storage; if `checked`, create missing tables and check Optuna's version of them."""
    options = {} if timeout is None else {"connect_args": {"timeout": timeout}}
    storage = RetryingStorage(
        url, engine_kwargs=options, skip_compatibility_check=not checked, skip_table_creation=not checked
    )
    if checked:
        LEASES.metadata.create_all(storage.engine)
    return storage


@contextmanager
def _table_lock(url: str) -> Iterator[None]:
    """Prevent drivers from creating PostgreSQL's tables at the same time: all but one would fail."""
    with sql.create_engine(url, poolclass=sql.NullPool).begin() as connection:
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(MAKING_TABLES)))
        yield


def _read_only_url(path: Path) -> str:
    """Return a URL for reading a SQLite file, even if its folder is not writable (no permission, full disk).

    With write-ahead logging, reading also needs a small file next to the database. If it cannot be created, the
    database is opened as immutable, which is complete unless a log of recent changes is left next to it.

    Raises:
        sqlite3.OperationalError: the file cannot be read.
    """
    with closing(sqlite3.connect(path, timeout=READ_TIMEOUT)) as connection:
        try:
            connection.execute("SELECT 1 FROM sqlite_master")
            return file_url(path)
        except sqlite3.OperationalError as error:
            log = path.with_name(f"{path.name}-wal")
            if "locked" in str(error) or (log.is_file() and log.stat().st_size):
                raise
    return file_url(path.resolve(), mode="ro", immutable="1", uri="true")


def describe_problem(error: BaseException) -> str | None:
    """Return one line that describes a database error and its remedy, or None for any other error."""
    if of_database(error) is None:
        return None
    reason = reason_of(error)
    return spelled(f"storage: {reason}; {_remedy(reason)}")


def _remedy(reason: str) -> str:
    remedies = (remedy for sign, remedy in _REMEDIES.items() if sign in reason)
    return next(remedies, "check the server, the disk and permissions")


_REMEDIES = {
    "locked": "another process holds the database; wait for it, or stop it",
    "full": "free some disk, then run the same command again",
    "I/O": "the disk may be full; free some disk, then run the same command again",
    "No space": "free some disk, then run the same command again",
    "readonly": "it is not writable; change its permissions, or name another ⟨root⟩",
    "Permission": "change its permissions, or name another ⟨root⟩",
    "Read-only": "it is read-only; name another ⟨root⟩",
    "malformed": "the file is damaged; restore it from a copy",
    "not a database": "name another file",
}


def check_writable(storage: RetryingStorage) -> None:
    """Check that the storage is writable, with a write that is rolled back.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is read-only, locked or gone.
    """
    with storage.engine.connect() as connection:
        connection.execute(sql.update(LEASES).where(LEASES.c.trial_id == 0).values(beats=0))
        connection.rollback()


def _set_wal(path: Path, patience: float) -> None:
    """Turn on write-ahead logging, a property of the file that is set before any other connection opens it."""
    with closing(sqlite3.connect(path, timeout=patience)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _set_pragmas(connection: sqlite3.Connection, record: object) -> None:
    """Set `synchronous` and `busy_timeout` of a new connection.

    With write-ahead logging, NORMAL loses no committed trial when a process dies. The timeout is short because
    `RetryingStorage` retries a locked database and reports the wait.
    """
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA busy_timeout={1000 * BUSY:.0f}")
