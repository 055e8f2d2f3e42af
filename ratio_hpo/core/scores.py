"""Names of splits and scores."""

from __future__ import annotations

from collections.abc import Mapping

SPLITS = VALIDATION, TEST = "validation", "test"
"""Evaluation splits: every rung is scored on the first; only confirmations are scored on the second."""

PRIMARY_SCORE = "score/mean"
"""Key of the primary score, by which trials are compared."""

ERROR = "score_error"
"""Key of the standard error of the primary score over the evaluation items."""

OVER_LANGUAGES = ("/mean", "/worst")
"""Suffixes of the keys of scores over all languages."""


def languages_of(scores: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Return the scores of single languages under `prefix`, without scores over all languages."""
    return {k[len(prefix) :]: v for k, v in scores.items() if k.startswith(prefix) and not k.endswith(OVER_LANGUAGES)}


def weighted_mean(scores: Mapping[str, float], weights: Mapping[str, float] | None = None) -> float | None:
    """Return the weighted mean of the languages' scores; None if a weighted language has no score.

    Args:
        scores: Score of each language.
        weights: Weight of each language; languages without a weight are ignored. None or empty: equal weights.

    Examples:
        >>> weighted_mean({"en": 0.5, "sw": 0.25}), weighted_mean({"en": 0.5, "sw": 0.25}, {"en": 1, "sw": 3})
        (0.375, 0.3125)
    """
    shares = weights or dict.fromkeys(scores, 1.0)
    if not all(language in scores for language in shares):
        return None
    return sum(weight * scores[language] for language, weight in shares.items()) / sum(shares.values())
