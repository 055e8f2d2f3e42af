"""Paraphrase: whether two sentences say the same; accuracy, and F1 of the pairs that do (as QQP is scored)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.classify import PairClassification
from ratio_hpo.data.tasks.items import plain_mean, scores_of
from ratio_hpo.data.windows import WindowSet


class Paraphrase(PairClassification):
    """Two sentences as a pair, two labels."""

    name = "paraphrase"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        said, right = self.predictions(windows, outputs)
        f1 = (2.0 * ((said == 1) & (right == 1)), 1.0 * (said == 1) + 1.0 * (right == 1))
        accuracy = plain_mean((said == right).astype(float).tolist())
        return [scores_of(windows, language, split, accuracy=accuracy, f1=f1)]
