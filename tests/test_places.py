"""The paths that a command prints are valid from any working folder."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.packaged_files import PACKAGE
from ratio_hpo.core.urls import lasting_url
from ratio_hpo.experiment.load import load_experiment
from ratio_hpo.experiment.places import find_places
from ratio_hpo.experiment.search_setup import RunOptions
from ratio_hpo.training.base_model import EMBEDDED

OBJECTIVE = """
from ratio_hpo import Progress

def train(params, context):
    for w in (100, 200):
        yield Progress(stage="target", windows=w, cost=w, scores={"f1/en": 0.3 + params["ratio"] * w / 1000})
"""
SPACE = "name: mine\nobjective: custom\nparameters:\n  ratio: {type: ratio}\n"
OWN = "name: own\nobjective: my_objective:train\nspace: ./mine.yaml\nrungs: {target: [100, 200]}\ntrials: 2\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///here.db", "sqlite:////here/here.db"),
        ("sqlite:////there/here.db", "sqlite:////there/here.db"),
        ("sqlite+pysqlite:///a b/here.db", "sqlite+pysqlite:////here/a b/here.db"),
        ("file://shared/runs", "file:///here/shared/runs"),
        ("file:./shared", "file:///here/shared"),
        ("file:///shared", "file:///shared"),
        ("sqlite://", "sqlite://"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("postgresql://me:p@host/db", "postgresql://me:p@host/db"),
        ("https://mlflow.example.org", "https://mlflow.example.org"),
    ],
)
def test_an_address_becomes_full(given: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: "/here")
    assert lasting_url(given) == expected


def test_options_hold_full_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = RunOptions(
        storage="sqlite:///s.db", tracking_uri="sqlite:///t.db", remote_store="file://x", data_dir=Path("d")
    )
    assert options.storage == f"sqlite:///{tmp_path}/s.db"
    assert options.tracking_uri == f"sqlite:///{tmp_path}/t.db"
    assert options.remote_store == f"file://{tmp_path}/x"
    assert options.data_dir == tmp_path / "d"


def search(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ratio_hpo", "search", "--no-tracking", "--workers", "1", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400)


def test_a_later_run_from_elsewhere_finds_space_and_objective(tmp_path: Path) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    for folder in (first, other):
        folder.mkdir()
    for name, text in (("my_objective.py", OBJECTIVE), ("mine.yaml", SPACE), ("own.yaml", OWN)):
        (first / name).write_text(text)
    made = search(first, "--experiment", "own.yaml", "--root", "../runs", "--storage", "sqlite:///../s.db")
    assert made.returncode == 0, made.stderr
    again = ["--experiment", str(first / "own.yaml"), "--root", str(tmp_path / "runs")]
    again += ["--storage", f"sqlite:///{tmp_path}/s.db", "--trials", "3", "--json"]
    later = search(other, *again)
    assert later.returncode == 0, later.stderr
    assert json.loads(later.stdout)["counts"]["COMPLETE"] == 3
    assert f"using {first / 'mine.yaml'}" in later.stderr

    (first / "mine.yaml").write_text(SPACE + "  learning_rate: {type: log_uniform, low: 0.1, high: 1.0}\n")
    changed = search(other, *again)
    assert changed.returncode == 2
    assert "another identity" in changed.stderr
    (first / "mine.yaml").unlink()
    gone = search(other, *again)
    assert gone.returncode == 2
    assert gone.stderr.count("\n") == 1
    assert "mine.yaml" in gone.stderr


@pytest.mark.slow
def test_a_later_run_from_elsewhere_finds_the_base(tmp_path: Path) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    other.mkdir()
    shutil.copytree(EMBEDDED["polyglot-base"], first / "base")
    world = (
        (PACKAGE.parent / "experiments" / "polyglot-world.yaml")
        .read_text()
        .replace("base: polyglot-base", "base: ./base")
    )
    assert "base: ./base" in world
    (first / "world.yaml").write_text(world)
    arguments = ["--experiment", str(first / "world.yaml"), "--root", str(tmp_path / "runs"), "--dry-run", "--json"]
    arguments += ["-S", "stages.target.steps=10", "-S", "stages.target.evaluate=[10]"]
    assert "./base: no such folder" in search(other, *arguments).stderr
    made = search(first, *[each for each in arguments if each not in ("--dry-run", "--json")], "--trials", "1")
    assert made.returncode == 0, made.stderr
    later = search(other, *arguments)
    assert later.returncode == 0, later.stderr
    assert f"using {first / 'base'}" in later.stderr


def test_a_storage_that_another_driver_is_making_is_no_trouble(tmp_path: Path) -> None:
    """Missing files are searched for in earlier runs. No earlier run exists here."""
    with closing(sqlite3.connect(tmp_path / "studies.db")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    settings = [Setting(key, value, "-S") for key, value in (("name", "own"), ("objective", "nowhere:f"))]
    settings += [Setting("space", "./gone.yaml", "-S"), Setting("rungs", [1], "-S")]
    loaded, said = load_experiment(None, settings), []
    options = RunOptions(experiment=None, root=tmp_path, settings=tuple(settings))
    assert find_places(options, loaded, said.append) == (options, loaded)
    assert said == []
