"""MLflow's SQLite store in a run folder, created completely or not at all."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from ratio_hpo.core.files import remove
from ratio_hpo.core.urls import file_url

ARTIFACTS = "artifacts"
"""Name of the folder of artifacts, next to the file."""


def make_store(file: Path) -> None:
    """Create the SQLite store of a run folder completely or not at all; keep an existing complete store.

    MLflow creates its tables in many steps and does not check them later: if it is killed in between, it rejects the
    file forever. So the tables are created in a temporary file, which is then linked to its final name. A file that
    MLflow rejects and that holds no runs is incomplete and is created again.

    Raises:
        Exception: any error of MLflow on a file that holds runs.
    """
    quiet()
    if file.is_file():
        problem = _problem_of(file)
        if problem is None:
            _update_locations(file)
            return
        if _holds_runs(file):
            raise problem
        remove(file)
    part = file.with_name(f".{file.name}-{os.getpid()}-{threading.get_native_id()}")
    remove(part)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        problem = _problem_of(part)
        if problem is not None:
            raise problem
        with suppress(FileExistsError):  # another process was faster, and its store may already hold runs
            os.link(part, file)
    finally:
        for left in file.parent.glob(f"{part.name}*"):
            remove(left)


def _problem_of(file: Path) -> Exception | None:
    """Return MLflow's error on opening a store, or None; MLflow creates the store if it is absent."""
    address = file_url(file, driver="sqlite+pysqlite")
    try:
        SqlAlchemyStore(address, (file.parent / ARTIFACTS).as_uri()).search_experiments(max_results=1)
        return None
    except Exception as error:  # MLflow raises its own errors and those of alembic and SQLAlchemy
        return error
    finally:  # MLflow caches engines by address, and a cached one would keep using a replaced file
        SqlAlchemyStore._get_or_create_engine(address).dispose()


def _update_locations(file: Path) -> None:
    """Update the paths of artifacts after the run folder was moved or copied.

    MLflow stores the absolute path that the artifacts had when an experiment was created.
    """
    current = (file.parent / ARTIFACTS).as_uri()
    with closing(sqlite3.connect(file)) as connection, connection:
        rows = connection.execute("SELECT artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'")
        for (location,) in rows.fetchall():
            before, separator, _ = location.rpartition(f"/{ARTIFACTS}/")
            before = f"{before}/{ARTIFACTS}" if separator else location
            if before == current or not before.endswith(f"/{ARTIFACTS}"):
                continue
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (current, len(before) + 1, len(before), before),
                )


def _holds_runs(file: Path) -> bool:
    """Return whether a store holds runs; assume that an unreadable file does."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM runs").fetchone()[0] > 0
    except sqlite3.OperationalError as error:
        return "no such table" not in str(error)
    except sqlite3.DatabaseError:
        return True


def quiet() -> None:
    """Silence the loggers of MLflow and alembic; raised errors are reported by this package."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
