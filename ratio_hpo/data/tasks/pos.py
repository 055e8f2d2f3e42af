"""Parts of speech: XTREME's F1, which compares runs of equal tags, and word accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.items import scores_of
from ratio_hpo.data.tasks.tagging import Tagging
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics import tags


class PartsOfSpeech(Tagging):
    """Tagging with the 17 universal tags and `_`."""

    name = "pos"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        predicted, gold = self.predict(windows, outputs), self.gold(windows)
        f1, accuracy = tags.f1_counts(predicted, gold, tags.runs), tags.accuracy_counts(predicted, gold)
        return [scores_of(windows, language, split, f1=f1, accuracy=accuracy)]
