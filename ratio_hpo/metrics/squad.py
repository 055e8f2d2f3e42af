"""SQuAD v1.1 exact match and F1 (Rajpurkar et al. 2016, evaluate-v1.1), as XQuAD and TyDiQA-GoldP use them.

The normalisation is English: lower case, ASCII punctuation, English articles, white-space tokens. For Chinese
and Thai, F1 is therefore close to exact match.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")

Score = tuple[float, float]
"""F1 and exact match, both in [0, 1]."""


def normalise(text: str) -> str:
    """Lower case without punctuation, articles and extra white space."""
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def f1(prediction: Sequence[str], gold: Sequence[str]) -> float:
    """Harmonic mean of the precision and recall of tokens, in [0, 1]."""
    shared = sum((Counter(prediction) & Counter(gold)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(prediction), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def score(prediction: str, golds: Sequence[str], language: str = "en") -> Score:
    """F1 and exact match of an answer, against the gold answer that suits it best."""
    said = normalise(prediction)
    wanted = [normalise(gold) for gold in golds]
    best_f1 = max((f1(said.split(), gold.split()) for gold in wanted), default=0.0)
    return best_f1, float(any(said == gold for gold in wanted))


def question_scores(
    predictions: Sequence[str],
    golds: Sequence[Sequence[str]],
    language: str = "en",
    scorer: Callable[[str, Sequence[str], str], Score] = score,
) -> list[Score]:
    """F1 and exact match of every question, in order; an empty prediction scores 0.

    Raises:
        ValueError: no question, or not one prediction for each.
    """
    if not golds or len(golds) != len(predictions):
        raise ValueError(
            f"scores need one prediction a question, but got {len(predictions)} for {len(golds)} question(s)"
        )
    return [scorer(said, answers, language) for said, answers in zip(predictions, golds, strict=True)]


def mean_scores(scores: Sequence[Score]) -> Score:
    """Mean F1 and exact match."""
    return sum(s[0] for s in scores) / len(scores), sum(s[1] for s in scores) / len(scores)


def standard_error(by_language: Sequence[Sequence[Score]]) -> float:
    """Of the unweighted mean over languages of the mean F1 over questions, were other questions drawn.

    sqrt(sum over languages of s^2 / n) / L, with the sample variance s^2; a language of one question counts
    with the largest variance that a score in [0, 1] can have, 1/4. Seeds and training data are not in it.
    """
    total = 0.0
    for scores in by_language:
        mean, n = sum(s[0] for s in scores) / len(scores), len(scores)
        variance = sum((s[0] - mean) ** 2 for s in scores) / (n - 1) if n > 1 else 0.25
        total += variance / n
    return math.sqrt(total) / len(by_language)
