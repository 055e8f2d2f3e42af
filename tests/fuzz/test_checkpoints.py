"""Randomly changed folders of stored stages, also with a valid seal: a stage resumes from them or is trained again."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratio_hpo.training.checkpoint import FORMAT, SEAL, STATE, StageState, _seal
from ratio_hpo.training.store import StageStore, fits
from tests.fuzz.test_inputs import ODD, changed

pytestmark = pytest.mark.slow

FEW = settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)

WHOLE: dict[str, Any] = {
    "format": FORMAT, "stage": "target", "step": 10, "position": 80, "schedule": {"name": "constant"},
    "rng": {"seed": 0},
    "heads": ["qa"], "checksums": {"model.safetensors": "0" * 32}, "evaluation": "e",
    "evaluations": [{"step": 10, "targets": ["qa/validation"], "scores": {"f1/sw": 0.5}, "measures": {"loss": 1.0}}],
    "provenance": {"device": "cpu"}, "seconds": 1.5, "tokens": 100, "loss": 0.0, "updates": 0,
    "measures": {"loss": 1.0}, "by_head": {"qa": [1.0, 2]}, "inexact": False,
}  # fmt: skip


def sealed(content: dict[str, Any]) -> bytes:
    """Return the text of a state file with this content and a valid checksum."""
    return json.dumps({**content, SEAL: _seal(content)}).encode()


def read(root: Path, text: bytes) -> StageState | None:
    """Return the state that the store reads from a folder whose state file contains this text."""
    folder = root / "stages" / "identity" / "00000010"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STATE).write_bytes(text)
    state = StageStore(root / "stages").state(folder)
    if state is not None:
        assert fits(state, {5: {"qa/validation"}, 10: {"qa/validation"}}, 10, "e") in (True, False)
    return state


def test_a_whole_state_is_read(tmp_path: Path) -> None:
    state = read(tmp_path, sealed(WHOLE))
    assert state is not None
    assert {"format": FORMAT, **asdict(state)} == WHOLE


@FEW
@given(text=st.one_of(st.binary(max_size=60), ODD.map(lambda value: json.dumps(value, default=str).encode())))
def test_bytes_and_odd_json_are_passed_over(tmp_path: Path, text: bytes) -> None:
    assert read(tmp_path, text) is None


def test_nesting_without_end_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, b"[" * 200_000) is None


@FEW
@given(data=st.data())
def test_odd_values_under_a_right_seal_are_passed_over_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    try:
        text = sealed(changed(copy.deepcopy(WHOLE), data))
    except (TypeError, ValueError):  # a value that JSON cannot represent is never in a file
        return
    read(tmp_path, text)
