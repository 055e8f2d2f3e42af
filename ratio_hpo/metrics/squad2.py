"""SQuAD 2.0 exact match and F1 (Rajpurkar et al. 2018, evaluate-v2.0), written from the definition.

As SQuAD v1.1, but the answer may be none: a question without answers has the empty one as its gold, and where either
side has no token left the F1 is whether both have none.
"""

from __future__ import annotations

from collections.abc import Sequence

from ratio_hpo.metrics.squad import Score, f1, normalise


def score(prediction: str, golds: Sequence[str], language: str = "en") -> Score:
    """F1 and exact match of an answer, against the gold answer that suits it best; "" says that there is none.

    Examples:
        >>> score("", []), score("Paris", []), score("Paris", ["Paris, France"])
        ((1.0, 1.0), (0.0, 0.0), (0.6666666666666666, 0.0))
    """
    said = normalise(prediction)
    wanted = [normalise(gold) for gold in golds if normalise(gold)] or [""]
    return max(_f1(said, gold) for gold in wanted), float(said in wanted)


def _f1(said: str, gold: str) -> float:
    if not said or not gold:
        return float(said == gold)
    return f1(said.split(), gold.split())
