"""Natural language inference: whether a premise entails a hypothesis, contradicts it, or neither; accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.classify import PairClassification
from ratio_hpo.data.tasks.items import item_scores
from ratio_hpo.data.windows import WindowSet


class Inference(PairClassification):
    """Classification of premise and hypothesis into three labels (XTREME, evaluate.py: accuracy)."""

    name = "nli"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        predicted, gold = self.predictions(windows, outputs)
        return [item_scores(windows, language, split, accuracy=(predicted == gold).astype(float).tolist())]
