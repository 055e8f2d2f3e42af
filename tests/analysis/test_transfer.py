"""The transfer table: targets in the order of the experiment, and XTREME's mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ratio_hpo.analysis.transfer import _columns
from ratio_hpo.training.evaluation import Evaluation


def test_targets_are_in_the_order_of_the_experiment() -> None:
    sums: Any = {("nli", "sw"): None, ("qa", "sw"): None, ("qa", "ko"): None}
    columns = [("qa", "sw"), ("qa", "ko"), ("qa", "mean"), ("nli", "sw"), ("nli", "mean")]
    assert _columns(sums, ["qa", "nli"]) == columns


def test_one_target_has_xtremes_mean_too() -> None:
    evaluation = Evaluation.__new__(Evaluation)
    evaluation.targets = [SimpleNamespace(name="qa", primary="f1", task=SimpleNamespace(task="qa"))]  # type: ignore
    scores = {"score/mean": 0.8, "f1/mean": 0.8, "em/mean": 0.6, "f1/sw": 0.8}
    assert evaluation.with_primary_score(scores) == {**scores, "xtreme/mean": pytest.approx(0.7)}
    assert "xtreme/mean" not in evaluation.with_primary_score({"f1/sw": 0.8})


def test_the_error_of_the_primary_score_weighs_targets_as_the_score_does() -> None:
    evaluation = Evaluation.__new__(Evaluation)
    evaluation.targets = [
        SimpleNamespace(
            name=name, primary="accuracy", languages=("sw",), weight=weight, task=SimpleNamespace(task=name)
        )
        for name, weight in (("nli", 1.0), ("pos", 3.0))
    ]  # type: ignore
    scores = {
        f"{name}/{key}": value
        for name, value in (("nli", 0.4), ("pos", 0.8))
        for key in ("mean", "accuracy/mean", "accuracy/sw")
    }
    found = evaluation.with_primary_score({**scores, "nli/score_error": 0.04, "pos/score_error": 0.02})
    assert found["score/mean"] == pytest.approx(0.25 * 0.4 + 0.75 * 0.8)
    assert found["score_error"] == pytest.approx(((0.25 * 0.04) ** 2 + (0.75 * 0.02) ** 2) ** 0.5)
