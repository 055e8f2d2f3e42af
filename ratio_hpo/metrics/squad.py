"""SQuAD v1.1 exact match and F1 (Rajpurkar et al. 2016, evaluate-v1.1), as used by XQuAD and TyDiQA-GoldP.

The normalisation is made for English: lower case, no ASCII punctuation, no English articles, white-space tokens. F1 is
therefore close to exact match for Chinese and Thai.
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


def question_scores(
    predictions: Sequence[str],
    golds: Sequence[Sequence[str]],
    language: str = "en",
    scorer: Callable[[str, Sequence[str], str], Score] = score,
) -> list[Score]:
    """Return F1 and exact match of every question, in order.

    Args:
        predictions: the predicted answer to each question.
        golds: the gold answers to each question.
        language: language of the questions.
        scorer: scoring function of one answer.

    Raises:
        ValueError: if there are no questions, or if the numbers of predictions and questions differ.
    """
    if not golds or len(golds) != len(predictions):
        raise ValueError(
            f"scores need one prediction per question, but got {len(predictions)} for {len(golds)} question(s)"
        )
    return [scorer(prediction, answers, language) for prediction, answers in zip(predictions, golds, strict=True)]


def mean_scores(scores: Sequence[Score]) -> Score:
    """Return mean F1 and mean exact match."""
    return sum(s[0] for s in scores) / len(scores), sum(s[1] for s in scores) / len(scores)


def standard_error(by_language: Sequence[Sequence[Score]]) -> float:
    """Return the standard error over questions of the mean over languages of the mean F1 over questions.

    The error is sqrt(sum over languages of s^2 / n) / L, with the sample variance s^2. A language with one question
    counts with the largest variance of a score in [0, 1], 1/4. Variation over seeds and training data is not included.
    """
    total = 0.0
    for scores in by_language:
        mean, n = sum(s[0] for s in scores) / len(scores), len(scores)
        variance = sum((s[0] - mean) ** 2 for s in scores) / (n - 1) if n > 1 else 0.25
        total += variance / n
    return math.sqrt(total) / len(by_language)
