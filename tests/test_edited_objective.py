"""An objective edited after its study began is reported once per run, and the study is not changed."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo import Ratio, search
from ratio_hpo.objective import CheckedObjective
from ratio_hpo.objective.checked import source_of

SOURCE = """
from ratio_hpo import Progress

def train(params, context):
    yield Progress(stage="target", windows=10, cost=10, scores={"score/mean": 0.5 + FACTOR * params["ratio"]})
"""


def module(folder: Path, factor: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    (folder / "edited_objective.py").write_text(SOURCE.replace("FACTOR", str(factor)))
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("edited_objective", None)
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True
    import linecache

    linecache.clearcache()
    return importlib.import_module("edited_objective")


def test_an_edit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for factor in (0.1, 0.1, 0.2):
        train = module(tmp_path, factor, monkeypatch).train
        study = search(train, {"ratio": Ratio()}, rungs=[10], trials=2, root=tmp_path, tracking=False, isolated=False)
        said.append([line for line in capsys.readouterr().err.splitlines() if "was edited" in line])
    assert [len(lines) for lines in said] == [0, 0, 1]
    assert "`study` train-2" in said[2][0]
    assert len(study.status().trials) == 2


def test_the_source_is_that_of_the_function_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = module(tmp_path, 0.1, monkeypatch).train
    plain = source_of(CheckedObjective(train, {"target": (10,)}))
    assert plain is not None
    assert source_of(CheckedObjective(partial(train), {"target": (10,)})) == plain
    assert source_of(CheckedObjective(print, {"target": (10,)})) is None  # type: ignore[arg-type]
    assert source_of(object()) is None
