"""The Optuna storage: opened with one writer in mind, and what to say where it cannot be."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sql
import sqlalchemy.event
import sqlalchemy.exc
from optuna.storages import RDBStorage

from ratio_hpo.core.errors import RatioHpoError, StorageError, StudyError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.options import spelled
from ratio_hpo.core.urls import with_driver, without_password
from ratio_hpo.study.tables import ATTRIBUTES, check_tables, read_attribute, swap_attribute

Storage = RDBStorage
"""What studies are kept in."""

LOCK_TIMEOUT, READ_TIMEOUT = 60.0, 5.0
"""Seconds that a lock of another process is waited for."""

ASKING, ASKING_TERM = "asking", 60.0
"""The mark of a driver that asks for a trial, and the seconds after which a dead one's mark is passed over."""


def default_url(root: Path) -> str:
    """The SQLite file below the run folder."""
    return RunFolder(root).studies_url


def open_storage(
    url: str, *, create: bool = True, only_read: bool = False, patience: float = LOCK_TIMEOUT
) -> RDBStorage:
    """A storage by URL: `sqlite:///…`, `postgresql+psycopg://…`, `mysql+pymysql://…`.

    SQLite is put into write-ahead mode, so that readers never wait for the writer.

    Args:
        create: make a SQLite file, and the folders above it, where there is none.
        only_read: open at once: no tables are made, no versions compared, and a lock is not waited for long.
        patience: seconds that a lock of another process is waited for.

    Raises:
        StudyError: no such file, no driver, no server.
        StorageError: a file that is locked, read-only, full or no database.
    """
    check_tables()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    url = with_driver(url)
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else None
    if path is not None and not create and not path.is_file():
        raise StudyError(f"{path}: no studies here yet; run `ratio-hpo search`, or name the folder with ⟨root⟩")
    try:
        if path is None:
            storage = _make(url, {"pool_pre_ping": True}, checked=not only_read)
            storage.engine.connect().close()
            return storage
        if only_read:
            return _make(_readable(path), _timeout(READ_TIMEOUT), checked=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two drivers that make the tables at once would fail
            _set_wal(path, patience)
            storage = _make(url, _timeout(patience), checked=True)
        sqlalchemy.event.listen(storage.engine, "connect", _relax)
        storage.engine.dispose()
        return storage
    except optuna.exceptions.StorageInternalError as error:  # Optuna's wrapping of the database's own
        raise _not_opened(url, path, error.__cause__ or error) from error
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, ImportError, OSError, RuntimeError, ValueError) as error:
        raise _not_opened(url, path, error) from error


def _not_opened(url: str, path: Path | None, error: BaseException) -> RatioHpoError:
    """What to tell of a storage that cannot be opened."""
    shown = without_password(url)
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0][:200]
    if path is not None and isinstance(error, OSError | sqlite3.Error | sqlalchemy.exc.OperationalError):
        return StorageError(f"{path}: cannot be opened ({reason}); {_remedy(reason)}")
    return StudyError(f"{shown}: cannot be opened ({reason}); check the URL, the server and permissions")


def _make(url: str, options: dict[str, Any], *, checked: bool) -> RDBStorage:
    """Optuna's storage; `checked`: its tables are made, and its version compared."""
    return RDBStorage(url, engine_kwargs=options, skip_compatibility_check=not checked, skip_table_creation=not checked)


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
            return f"sqlite:///{path}"
        except sqlite3.OperationalError as error:
            log = path.with_name(f"{path.name}-wal")
            if "locked" in str(error) or (log.is_file() and log.stat().st_size):
                raise
    return f"sqlite:///file:{path.resolve()}?mode=ro&immutable=1&uri=true"


def describe_problem(error: BaseException) -> str | None:
    """One line on an error of the database, with what to do; None where it is none of its errors."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, sqlalchemy.exc.SQLAlchemyError):
        cause = cause.__cause__
    if cause is None:
        return None
    reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0][:200]
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


def check_writable(storage: RDBStorage) -> None:
    """Begin to write, and take it back.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is read-only, locked or gone.
    """
    with storage.engine.connect() as connection:
        connection.execute(sql.update(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == -1).values(key=ATTRIBUTES.c.key))
        connection.rollback()


@contextmanager
def asking(storage: RDBStorage, trial_id: int | None) -> Iterator[None]:
    """Keep other drivers from counting trials and asking for one in between.

    Args:
        trial_id: of the study's first trial, which carries the mark; None: there is none to contend for yet.
    """
    if trial_id is None:
        yield
        return
    mark = {"since": time.time(), "by": uuid.uuid4().hex}
    while True:
        held = read_attribute(storage, trial_id, ASKING)
        free = not held or time.time() - held["since"] > ASKING_TERM
        if free and swap_attribute(storage, trial_id, ASKING, held, mark):
            break
        time.sleep(0.02)
    try:
        yield
    finally:
        swap_attribute(storage, trial_id, ASKING, mark, {})


def _set_wal(path: Path, patience: float) -> None:
    """Write-ahead logging is a property of the file, set before anything else opens it."""
    with closing(sqlite3.connect(path, timeout=patience)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _relax(connection: Any, record: Any) -> None:
    """With write-ahead logging, NORMAL loses no committed trial when a process dies."""
    connection.execute("PRAGMA synchronous=NORMAL")
