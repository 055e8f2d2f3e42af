"""Natural language inference: whether a premise entails a hypothesis, contradicts it, or neither; accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.classify import PairClassification
from ratio_hpo.data.tasks.items import item_scores
from ratio_hpo.data.windows import WindowSet


class Inference(PairClassification):
    """Premise and hypothesis as a pair, three labels (XTREME, evaluate.py: accuracy)."""

    name = "nli"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        said, right = self.predictions(windows, outputs)
        return [item_scores(windows, language, split, accuracy=(said == right).astype(float).tolist())]
