"""The SQLite store of MLflow is created completely or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ratio_hpo.tracking.mlflow_store import make_store

MAKES = (
    "import sys; from pathlib import Path\n"
    "from ratio_hpo.tracking.mlflow_store import make_store\n"
    "make_store(Path(sys.argv[1]))"
)


def works(file: Path) -> bool:
    client = MlflowClient(f"sqlite:///{file}")
    experiment = client.create_experiment("x", artifact_location=(file.parent / "x").as_uri())
    return client.create_run(experiment).info.status == "RUNNING"


def tables(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0]


def test_a_store_is_made_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    make_store(file)
    assert works(file)
    make_store(file)
    assert MlflowClient(f"sqlite:///{file}").get_experiment_by_name("x") is not None
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize(
    "left",
    [
        "CREATE TABLE experiments (experiment_id INTEGER)",
        "CREATE TABLE alembic_version (version_num VARCHAR(32)); INSERT INTO alembic_version VALUES ('451aebb31d03')",
        "CREATE TABLE runs (run_uuid VARCHAR(32)); CREATE TABLE experiments (experiment_id INTEGER)",
    ],
)
def test_one_that_was_left_half_made_is_made_anew(left: str, tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(left)
    make_store(file)
    assert works(file)


def test_one_that_holds_runs_is_never_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    make_store(file)
    assert works(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of-long-ago'")
        connection.commit()
    before = tables(file)
    with pytest.raises(Exception, match="schema"):
        make_store(file)
    assert tables(file) == before


def test_what_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"this is no database, but somebody may want it" * 100)
    with pytest.raises(Exception, match="not a database"):
        make_store(file)
    assert file.stat().st_size == 4500


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_store_that_works(tmp_path: Path) -> None:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", MAKES, str(tmp_path / "whole" / "mlflow.db")], check=True)
    took = time.monotonic() - began
    for k in range(8):
        file = tmp_path / str(k) / "mlflow.db"
        process = subprocess.Popen([sys.executable, "-c", MAKES, str(file)])
        time.sleep(took * (0.3 + 0.09 * k))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        make_store(file)
        assert works(file), k
        assert file.is_file()
