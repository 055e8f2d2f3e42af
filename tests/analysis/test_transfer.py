"""The table of transfer: targets in the experiment's order, and XTREME's mean."""

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
    evaluation.targets = [SimpleNamespace(name="qa", primary="f1", task=SimpleNamespace(name="qa"))]  # type: ignore
    scores = {"score/mean": 0.8, "f1/mean": 0.8, "em/mean": 0.6, "f1/sw": 0.8}
    assert evaluation.with_headline(scores) == {**scores, "xtreme/mean": pytest.approx(0.7)}
    assert "xtreme/mean" not in evaluation.with_headline({"f1/sw": 0.8})
