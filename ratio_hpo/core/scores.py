"""Names of splits and of scores."""

from __future__ import annotations

from collections.abc import Mapping

SPLITS = VALIDATION, TEST = "validation", "test"
"""The splits of what trials are scored on: every rung on the first, confirmations on the second too."""

PRIMARY_SCORE = "score/mean"
"""Key of the score that trials are compared by."""

ERROR = "score_error"
"""Key of the standard error of that score over the items that it was measured on."""

OVER_LANGUAGES = ("/mean", "/worst")
"""How scores end that are over all languages."""


def languages_of(scores: Mapping[str, float], prefix: str) -> dict[str, float]:
    """The scores under `prefix` that are of one language, not of all."""
    return {k[len(prefix) :]: v for k, v in scores.items() if k.startswith(prefix) and not k.endswith(OVER_LANGUAGES)}


def weighted_mean(scores: Mapping[str, float], weights: Mapping[str, float] | None = None) -> float | None:
    """The mean of languages' scores; None: one that has a weight has no score.

    Args:
        weights: those that are not named have none; none named: all have the same.

    Examples:
        >>> weighted_mean({"en": 0.5, "sw": 0.25}), weighted_mean({"en": 0.5, "sw": 0.25}, {"en": 1, "sw": 3})
        (0.375, 0.3125)
    """
    shares = weights or dict.fromkeys(scores, 1.0)
    if not all(language in scores for language in shares):
        return None
    return sum(weight * scores[language] for language, weight in shares.items()) / sum(shares.values())
