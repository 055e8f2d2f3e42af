"""Build scores from item predictions, for tasks that score every item of a window set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ratio_hpo.data.tasks.base import ItemScores, Scores
from ratio_hpo.data.windows import WindowSet


def plain_mean(values: Sequence[float]) -> ItemScores:
    """Return a measure that is the mean over items."""
    numerators = np.asarray(values, dtype=np.float64)
    return numerators, np.ones_like(numerators)


def item_scores(windows: WindowSet, language: str, split: str, **means: Sequence[float]) -> Scores:
    """Return scores whose measures are means over all items."""
    return scores_of(windows, language, split, **{name: plain_mean(values) for name, values in means.items()})


def scores_of(windows: WindowSet, language: str, split: str, **measures: ItemScores) -> Scores:
    """Return the scores of all items of a window set."""
    return Scores(language=language, split=split, ids=windows.item_ids, groups=windows.groups, measures=measures)
