"""Supertags of combinatory categorial grammar, scored by word accuracy (jiant, CCGEvaluationScheme)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.items import scores_of
from ratio_hpo.data.tasks.tagging import Tagging
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics import tags


class Supertags(Tagging):
    """Tagging with the supertags of the training data; a word with any other supertag counts as wrong."""

    name = "ccg"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        accuracy = tags.accuracy_counts(self.predict(windows, outputs), self.gold(windows))
        return [scores_of(windows, language, split, accuracy=accuracy)]
