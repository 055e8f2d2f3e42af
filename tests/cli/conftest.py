"""Run command lines in this process, on a finished study that tests may change."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo import Context, LogUniform, Params, Progress, Ratio, cli, search
from ratio_hpo.core import errors as spelling
from tests.conftest import RUNGS, curve_objective


def fragile(params: Params, context: Context) -> Iterator[Progress]:
    """Follow the fake curve, but fail in two of the sampled trials."""
    if context.trial in (4, 6):
        raise RuntimeError("the GPU fell off the bus")
    yield from curve_objective(params, context)


@dataclass
class Answer:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a command line in this process and in a folder, as the entry point does."""

    def call(folder: Path, *words: str) -> Answer:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(spelling, "_spell", list(spelling._spell))  # the entry point sets it for its process
        monkeypatch.setattr(sys, "argv", ["ratio-hpo", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a finished study with two failed trials, tracked in MLflow."""
    folder = tmp_path_factory.mktemp("made")
    space = {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2)}
    search(fragile, space, rungs=RUNGS, trials=8, root=folder / "mlruns", progress=False, pruner="median")
    return folder


@pytest.fixture
def finished(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished study that a test may change."""
    shutil.copytree(made, tmp_path / "finished")
    return tmp_path / "finished"


def one_line(answer: Answer, code: int) -> None:
    assert answer.code == code, (answer.out, answer.err)
    assert answer.out == ""
    lines = [line for line in answer.err.splitlines() if line]
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("ratio-hpo: ")
    assert "Traceback" not in answer.err
