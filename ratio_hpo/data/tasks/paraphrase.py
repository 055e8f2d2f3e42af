"""Paraphrase: whether two sentences have the same meaning; accuracy, and F1 of the positive class (as for QQP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.classify import PairClassification
from ratio_hpo.data.tasks.items import plain_mean, scores_of
from ratio_hpo.data.windows import WindowSet


class Paraphrase(PairClassification):
    """Classification of two sentences into two labels."""

    name = "paraphrase"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        predicted, gold = self.predictions(windows, outputs)
        f1 = (2.0 * ((predicted == 1) & (gold == 1)), 1.0 * (predicted == 1) + 1.0 * (gold == 1))
        accuracy = plain_mean((predicted == gold).astype(float).tolist())
        return [scores_of(windows, language, split, accuracy=accuracy, f1=f1)]
