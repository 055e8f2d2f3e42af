"""The same study in PostgreSQL, and on an HTTP tracking server that requires a login."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import with_driver
from ratio_hpo.experiment.track import track_study
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study.snapshot import view_study
from tests.conftest import MLFLOW_PASSWORD, MLFLOW_USER
from tests.tracking.test_mlflow import search

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


def test_a_server_with_a_login_takes_a_study_once(
    mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search(tmp_path, tracked=False)
    points = sum(len(record.curve) for record in study.records())
    with pytest.raises(Exception, match=r"401|not authenticated"):
        write(tmp_path, f"http://{mlflow_server}")
    inside = f"http://{MLFLOW_USER}:{MLFLOW_PASSWORD}@{mlflow_server}"
    assert write(tmp_path, inside) == 6
    assert count(inside) == (6, points)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", MLFLOW_USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", MLFLOW_PASSWORD)
    assert write(tmp_path, f"http://{mlflow_server}") == 0
    assert count(inside) == (6, points)
    command = [sys.executable, "-m", "ratio_hpo", "ui", "--no-browser", "--root", ".", "--tracking-uri", inside]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    assert f"MLflow UI: http://{mlflow_server}/#/experiments/" in shown
    assert MLFLOW_PASSWORD not in shown
