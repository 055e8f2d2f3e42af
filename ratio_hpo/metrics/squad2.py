"""SQuAD 2.0 exact match and F1 (Rajpurkar et al. 2018, evaluate-v2.0), written from the definition.

Like SQuAD v1.1, but a question may have no answer: its gold answer is then the empty string. If the prediction or the
gold answer has no tokens after normalisation, F1 is 1 if both have none, and 0 otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from ratio_hpo.metrics.squad import Score, f1, normalise


def score(prediction: str, golds: Sequence[str], language: str = "en") -> Score:
    """Return F1 and exact match of an answer against the best-matching gold answer; "" means "no answer".

    Examples:
        >>> score("", []), score("Paris", []), score("Paris", ["Paris, France"])
        ((1.0, 1.0), (0.0, 0.0), (0.6666666666666666, 0.0))
    """
    predicted = normalise(prediction)
    normalised_golds = [normalise(gold) for gold in golds if normalise(gold)] or [""]
    return max(_f1(predicted, gold) for gold in normalised_golds), float(predicted in normalised_golds)


def _f1(predicted: str, gold: str) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    return f1(predicted.split(), gold.split())
