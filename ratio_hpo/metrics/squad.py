"""SQuAD v1.1 exact match and F1 (Rajpurkar et al. 2016, evaluate-v1.1), as XQuAD and TyDiQA-GoldP use them.

The normalisation is English: lower case, ASCII punctuation, English articles, white-space tokens. For Chinese
and Thai, F1 is therefore close to exact match.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

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


def mean_scores(
    predictions: Mapping[str, str],
    golds: Mapping[str, Sequence[str]],
    language: str = "en",
    scorer: Callable[[str, Sequence[str], str], Score] = score,
) -> Score:
    """Mean F1 and exact match over all gold questions; a question without a prediction scores 0."""
    if not golds:
        raise ValueError("scores need one gold question or more, but got none")
    scores = [scorer(predictions.get(key, ""), answers, language) for key, answers in golds.items()]
    return sum(s[0] for s in scores) / len(scores), sum(s[1] for s in scores) / len(scores)
