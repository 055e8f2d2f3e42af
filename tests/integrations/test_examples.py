"""Run the examples as a reader would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ratio_hpo import load_study

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_numpy_example_is_short_and_finds_a_front(tmp_path: Path) -> None:
    lines = [line for line in (EXAMPLES / "numpy_classifier.py").read_text().splitlines() if line.strip()]
    assert len(lines[1:]) <= 25  # about twenty lines, including imports and the call
    assert "ratio" in run("numpy_classifier.py", tmp_path)
    study = load_study("train", root=tmp_path / "mlruns")
    trials = study.trials()
    assert len(trials) == 20
    assert set(trials["state"]) <= {"COMPLETE", "PRUNED"}
    ends = trials[trials["state"] == "COMPLETE"].set_index("number")["score"]
    assert ends.max() > ends[0]  # some mixture beats the reference language alone


def test_the_mixing_sampler_resumes_with_workers(tmp_path: Path) -> None:
    out = run("mixing_sampler.py", tmp_path)
    assert "with two workers: the same" in out
    assert "sw: asked for 0.300, drew 0.3000" in out


@pytest.mark.slow
def test_the_trainer_example_learns_both_languages(tmp_path: Path) -> None:
    run("trainer_classification.py", tmp_path, "--trials", "4")
    study = load_study("trainer-classification", root=tmp_path / "mlruns")
    curves = study.curves()
    assert {"score/en", "score/sw", "accuracy/en", "accuracy/sw", "loss", "lr"} <= set(curves.columns)
    assert list(curves[curves["trial"] == 0]["windows"]) == [160, 320, 480, 640, 800, 960]
    assert study.best().score > 0.7  # random guessing scores 0.5


@pytest.mark.slow
def test_the_lightning_example_stops_what_is_pruned(tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="the extra ratio-hpo[lightning] is not installed")
    run("lightning_loop.py", tmp_path, "--trials", "6")
    study = load_study("lightning-loop", root=tmp_path / "mlruns")
    trials = study.trials()
    assert set(trials["state"]) == {"COMPLETE", "PRUNED"}
    pruned = trials[trials["state"] == "PRUNED"]
    assert (pruned["cost"] < 1600).all()
