"""SQuAD v1.1 exact match and F1 (Rajpurkar et al. 2016, evaluate-v1.1), as used by XQuAD and TyDiQA-GoldP.

The normalisation is made for English: lower case, no ASCII punctuation, no English articles, white-space tokens. F1 is
therefore close to exact match for Chinese and Thai.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")

Score = tuple[float, float]
"""F1 and exact match, both in [0, 1]."""


def normalise(text: str) -> str:
    """Return the text in lower case, without punctuation, articles and extra white space."""
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def f1(prediction: Sequence[str], gold: Sequence[str]) -> float:
    """Return the harmonic mean of token precision and recall, in [0, 1]."""
    shared = sum((Counter(prediction) & Counter(gold)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(prediction), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def score(prediction: str, golds: Sequence[str], language: str = "en") -> Score:
    """Return F1 and exact match of an answer against the best-matching gold answer."""
    predicted = normalise(prediction)
    normalised_golds = [normalise(gold) for gold in golds]
    best_f1 = max((f1(predicted.split(), gold.split()) for gold in normalised_golds), default=0.0)
    return best_f1, float(any(predicted == gold for gold in normalised_golds))
