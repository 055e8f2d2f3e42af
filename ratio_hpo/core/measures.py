"""Names of splits and scores, and the paid cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class PaidCost:
    """The paid cost of training and scoring, after reuse of stored stages.

    Attributes:
        cost: Training cost in the study's unit, windows or tokens.
        seconds: Duration of training.
        flops: Floating-point operations of training, 6 x parameters x tokens.
        scored: Windows that were scored.
        scoring_seconds: Duration of scoring.
    """

    cost: float = 0.0
    seconds: float = 0.0
    flops: float = 0.0
    scored: float = 0.0
    scoring_seconds: float = 0.0

    def __add__(self, other: PaidCost) -> PaidCost:
        return PaidCost(*(getattr(self, key) + getattr(other, key) for key in self.__slots__))

    def __sub__(self, other: PaidCost) -> PaidCost:
        return PaidCost(*(getattr(self, key) - getattr(other, key) for key in self.__slots__))


NOTHING = PaidCost()

PAID: tuple[str, ...] = ("paid_seconds", "paid_flops", "paid_scored", "paid_scoring_seconds")
"""Measures of the paid cost, other than the cost itself, in the order of the fields of `PaidCost`."""
