"""Named entities in IOB2: micro F1 of spans, and word accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.items import scores_of
from ratio_hpo.data.tasks.tagging import Tagging
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics import tags


class NamedEntities(Tagging):
    """Tagging with the entity types of the training data, each as B- and I-, and O."""

    name = "ner"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        predicted, gold = self.predict(windows, outputs), self.gold(windows)
        f1, accuracy = tags.f1_counts(predicted, gold, tags.spans), tags.accuracy_counts(predicted, gold)
        return [scores_of(windows, language, split, f1=f1, accuracy=accuracy)]
