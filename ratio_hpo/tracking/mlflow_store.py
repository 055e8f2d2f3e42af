"""MLflow's SQLite store of a run folder: made whole or not at all."""

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
"""The folder of artifacts, beside the file."""


def make_store(file: Path) -> None:
    """Make the SQLite store of a run folder, whole or not at all; one that is there and whole stays.

    MLflow makes its tables in many steps and checks none of them later: killed in between, it leaves a file that it
    refuses for good. So the tables are made in a file beside it, which takes the name when all is there. One that was
    left half-made, by whatever else, is known by MLflow's refusal and by holding no run; it is made anew.

    Raises:
        Exception: whatever MLflow raises of a file that holds runs.
    """
    quiet()
    if file.is_file():
        problem = _problem_of(file)
        if problem is None:
            _follow(file)
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
        with suppress(FileExistsError):  # another process was faster: its store may hold runs by now
            os.link(part, file)
    finally:
        for left in file.parent.glob(f"{part.name}*"):
            remove(left)


def _problem_of(file: Path) -> Exception | None:
    """What MLflow says against a store, which it makes where there is none; None: nothing."""
    address = file_url(file, driver="sqlite+pysqlite")
    try:
        SqlAlchemyStore(address, (file.parent / ARTIFACTS).as_uri()).search_experiments(max_results=1)
        return None
    except Exception as error:  # MLflow raises its own, alembic's and SQLAlchemy's
        return error
    finally:  # MLflow keeps engines by address, and theirs would go on with a file that was replaced
        SqlAlchemyStore._get_or_create_engine(address).dispose()


def _follow(file: Path) -> None:
    """Let artifacts be found where they are now, after the run folder was moved or copied.

    MLflow stores where they are by the full path that they had when an experiment was made.
    """
    here = (file.parent / ARTIFACTS).as_uri()
    with closing(sqlite3.connect(file)) as connection, connection:
        rows = connection.execute("SELECT artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'")
        for (location,) in rows.fetchall():
            before, found, _ = location.rpartition(f"/{ARTIFACTS}/")
            before = f"{before}/{ARTIFACTS}" if found else location
            if before == here or not before.endswith(f"/{ARTIFACTS}"):
                continue
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (here, len(before) + 1, len(before), before),
                )


def _holds_runs(file: Path) -> bool:
    """Whether there is a run in it; what cannot be read at all may hold some."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM runs").fetchone()[0] > 0
    except sqlite3.OperationalError as error:
        return "no such table" not in str(error)
    except sqlite3.DatabaseError:
        return True


def quiet() -> None:
    """What goes wrong is told by our own lines, from the errors that are raised."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
