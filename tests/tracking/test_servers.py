"""The same study in PostgreSQL, and on a tracking server over HTTP that asks for a login."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import with_driver
from ratio_hpo.experiment.track import track_study
from ratio_hpo.study.storage import default_url, open_storage
from ratio_hpo.study.view import view_study
from tests.tracking.test_mlflow import search

USER, PASSWORD = "admin", "a-long-password-1"

pytestmark = pytest.mark.slow


def write(root: Path, uri: str) -> int:
    storage = open_storage(default_url(root))
    return track_study(storage, view_study(storage, "study"), RunFolder(root), uri, lambda record: None)


def count(uri: str) -> tuple[int, int]:
    client = MlflowClient(with_driver(uri))
    experiment = client.get_experiment_by_name("fake")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`ratio_hpo.kind` = 'trial'")
    return len(runs), sum(len(client.get_metric_history(run.info.run_id, "f1/sw")) for run in runs)


def test_postgresql_takes_a_study_once(postgres: str, tmp_path: Path) -> None:
    study = search(tmp_path, tracked=False)
    points = sum(len(record.curve) for record in study.records())
    uri = postgres.replace("/postgres?", "/runs?")
    assert write(tmp_path, uri) == 6
    assert count(uri) == (6, points)
    assert write(tmp_path, uri) == 0
    assert count(uri) == (6, points)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real tracking server with basic auth, and its address without a login."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    environment = {
        **os.environ,
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", "sqlite:///mlflow.db"]
    command += ["--artifacts-destination", "artifacts"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.3)
        assert process.poll() is None, (folder / "log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_a_server_with_a_login_takes_a_study_once(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = search(tmp_path, tracked=False)
    points = sum(len(record.curve) for record in study.records())
    with pytest.raises(Exception, match=r"401|not authenticated"):
        write(tmp_path, f"http://{server}")
    inside = f"http://{USER}:{PASSWORD}@{server}"
    assert write(tmp_path, inside) == 6
    assert count(inside) == (6, points)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    assert write(tmp_path, f"http://{server}") == 0
    assert count(inside) == (6, points)
    command = [sys.executable, "-m", "ratio_hpo", "ui", "--no-browser", "--root", ".", "--tracking-uri", inside]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    assert f"MLflow UI: http://{server}/#/experiments/" in shown
    assert PASSWORD not in shown
