"""The Optuna storage: opened with one writer in mind, and what to say where it cannot be."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sql
import sqlalchemy.event
import sqlalchemy.exc

from ratio_hpo.core.errors import RatioHpoError, StorageError, StudyError
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.option_names import spelled
from ratio_hpo.core.urls import file_of, file_url, read_url, shown_url, with_driver
from ratio_hpo.study.retrying_storage import RetryingStorage, of_database, reason_of
from ratio_hpo.study.tables import ATTRIBUTES, INSERTS, check_tables, make_tables

Storage = RetryingStorage
"""What studies are kept in."""

LOCK_TIMEOUT, READ_TIMEOUT, BUSY = 60.0, 5.0, 5.0
"""Seconds that a lock of another process is waited for: to open it, to read, and then by each statement."""

MAKING_TABLES = 0x726174696F
"""PostgreSQL's advisory lock of whoever makes tables."""


def default_url(root: Path) -> str:
    """The SQLite file below the run folder."""
    return RunFolder(root).studies_url


def open_storage(
    url: str, *, create: bool = True, only_read: bool = False, patience: float = LOCK_TIMEOUT
) -> RetryingStorage:
    """A storage by URL: `sqlite:///…` or `postgresql://…`.

    SQLite is put into write-ahead mode, so that readers never wait for the writer.

    Args:
        create: make a SQLite file, and the folders above it, where there is none.
        only_read: open at once: no tables are made, no versions compared, and a lock is not waited for long.
        patience: seconds that a lock of another process is waited for.

    Raises:
        StudyError: no such file, no driver, no server, or another kind of database.
        StorageError: a file that is locked, read-only, full or no database.
    """
    check_tables()
    _check_kind(url)
    path, url = file_of(url), with_driver(url)
    if path is not None:
        url = file_url(path)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    if path is not None and not create and not path.is_file():
        raise StudyError(f"{path}: no studies here yet; run `ratio-hpo search`, or name the folder with ⟨root⟩")
    try:
        if path is None:
            with nullcontext() if only_read else _one_at_a_time(url):
                storage = _make(url, {}, checked=not only_read)
                storage.engine.connect().close()
            return storage
        if only_read:
            return _make(_readable(path), _timeout(READ_TIMEOUT), checked=False)
        _check_not_emptied(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two drivers that make the tables at once would fail
            _set_wal(path, patience)
            storage = _make(url, _timeout(patience), checked=True)
        sqlalchemy.event.listen(storage.engine, "connect", _relax)
        sqlalchemy.event.listen(storage.engine, "handle_error", partial(_reopen, path))
        storage.engine.dispose()
        return storage
    except optuna.exceptions.StorageInternalError as error:  # Optuna's wrapping of the database's own
        raise _not_opened(url, path, error.__cause__ or error) from error
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, ImportError, OSError, RuntimeError, ValueError) as error:
        raise _not_opened(url, path, error) from error


def is_passing(error: BaseException) -> bool:
    """Whether a storage that could not be opened may be opened later: its disk is at fault.

    A wrong address or missing rights are a mistake, which no waiting mends.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, sqlite3.Error):
        cause = cause.__cause__ or getattr(cause, "orig", None)
    return is_fault(error) or (cause is not None and "disk I/O error" in str(cause))


def _reopen(path: Path, context: sqlalchemy.engine.ExceptionContext) -> None:
    """Drop a connection that SQLite could open for reading only, though the file can be written."""
    if "readonly database" in str(context.original_exception) and all(
        os.access(p, os.W_OK) for p in (path, path.parent)
    ):
        context.is_disconnect = True


def _check_not_emptied(path: Path) -> None:
    """Refuse a file that has lost its studies; one that was never written to is made.

    Raises:
        StorageError: it is empty, and studies that were in it keep weights beside it.
    """
    is_known = path == RunFolder(path.parent).studies and RunFolder(path.parent).storages.is_file()
    if path.is_file() and path.stat().st_size == 0 and is_known:
        raise StorageError(
            f"{path}: is empty, though studies were kept in it; put back a copy of it, or delete it to begin anew"
        )


def _check_kind(url: str) -> None:
    """Refuse databases that studies are not kept in."""
    kind = read_url(with_driver(url)).get_backend_name()
    if kind not in INSERTS:
        shown, known = shown_url(url), " or ".join(INSERTS)
        raise StudyError(f"{shown}: studies are kept in {known}, not in {kind}; name one of these")


def _not_opened(url: str, path: Path | None, error: BaseException) -> RatioHpoError:
    """What to tell of a storage that cannot be opened."""
    shown = shown_url(url)
    reason = reason_of(error)
    if path is not None and isinstance(error, OSError | sqlite3.Error | sqlalchemy.exc.OperationalError):
        return StorageError(f"{path}: cannot be opened ({reason}); {_remedy(reason)}")
    return StudyError(f"{shown}: cannot be opened ({reason}); check the URL, the server and permissions")


def _make(url: str, options: dict[str, Any], *, checked: bool) -> RetryingStorage:
    """Optuna's storage; `checked`: tables are made, and its version compared."""
    storage = RetryingStorage(
        url, engine_kwargs=options, skip_compatibility_check=not checked, skip_table_creation=not checked
    )
    if checked:
        make_tables(storage.engine)
    return storage


@contextmanager
def _one_at_a_time(url: str) -> Iterator[None]:
    """Keep other drivers from making PostgreSQL's tables at the same time: all but one would fail."""
    if not url.startswith("postgresql"):
        yield
        return
    engine = sql.create_engine(url, poolclass=sql.NullPool)
    with engine.connect() as connection:
        connection.execute(sql.select(sql.func.pg_advisory_lock(MAKING_TABLES)))
        try:
            yield
        finally:
            connection.execute(sql.select(sql.func.pg_advisory_unlock(MAKING_TABLES)))


def _timeout(seconds: float) -> dict[str, Any]:
    return {"connect_args": {"timeout": seconds}}


def _readable(path: Path) -> str:
    """The URL to read a SQLite file by, also where nothing can be written beside it (no permission, a full disk).

    With write-ahead logging, reading too needs a small file beside the database. Where it cannot be made, the file
    is taken as it is, which is whole unless a log of its last changes is left beside it.

    Raises:
        sqlite3.OperationalError: it cannot be read.
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
    """One line on an error of the database, with what to do; None where it is none of its errors."""
    if of_database(error) is None:
        return None
    reason = reason_of(error)
    return spelled(f"storage: {reason}; {_remedy(reason)}")


def _remedy(reason: str) -> str:
    found = [remedy for sign, remedy in _REMEDIES.items() if sign in reason]
    return found[0] if found else "check the server, the disk and permissions"


_REMEDIES = {
    "locked": "another process holds the database; wait for it, or stop it",
    "full": "free some disk, then run the same command again",
    "I/O": "the disk may be full; free some, then run the same command again",
    "No space": "free some disk, then run the same command again",
    "readonly": "you may not write there; change permissions, or name another ⟨root⟩",
    "Permission": "change its permissions, or name another ⟨root⟩",
    "Read-only": "it is read-only; name another ⟨root⟩",
    "malformed": "the file is damaged; restore it from a copy",
    "not a database": "name another file",
}


def check_writable(storage: RetryingStorage) -> None:
    """Begin to write, and take it back.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is read-only, locked or gone.
    """
    with storage.engine.connect() as connection:
        connection.execute(sql.update(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == -1).values(key=ATTRIBUTES.c.key))
        connection.rollback()


def _set_wal(path: Path, patience: float) -> None:
    """Write-ahead logging is a property of the file, set before anything else opens it."""
    with closing(sqlite3.connect(path, timeout=patience)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _relax(connection: Any, record: Any) -> None:
    """With write-ahead logging, NORMAL loses no committed trial when a process dies. A lock is waited for by whoever
    asked, who can say so."""
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA busy_timeout={1000 * BUSY:.0f}")
