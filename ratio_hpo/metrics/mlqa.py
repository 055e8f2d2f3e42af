"""MLQA exact match and F1 (Lewis et al. 2020, arXiv 1910.07475, section 4.1), written from the definition.

Differences from SQuAD v1.1: the articles of each language are removed, punctuation is all of Unicode punctuation and
the ASCII symbols, and Chinese is compared by character. The metric is defined only for the seven languages of MLQA.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.metrics.squad import Score, f1

_ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "hi": "",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": "ال",
    "zh": "",
}

_ASCII = frozenset(string.punctuation)

LANGUAGES = tuple(_ARTICLES)

_CHINESE = re.compile(r"[\u4e00-\u9fa5]")


def normalise(text: str, language: str) -> str:
    """Return the text in lower case, without punctuation, articles of the language and extra white space.

    Raises:
        ConfigError: if MLQA does not define the language.
    """
    if language not in _ARTICLES:
        raise ConfigError(
            f"metric: mlqa is defined for {', '.join(LANGUAGES)}, but got language {language}; use metric: squad"
        )
    bare = "".join(c for c in text.lower() if c not in _ASCII and not unicodedata.category(c).startswith("P"))
    if _ARTICLES[language]:
        bare = re.sub(_ARTICLES[language], " ", bare)
    return " ".join(_tokens(bare, language))


def score(prediction: str, golds: Sequence[str], language: str) -> Score:
    """Return F1 and exact match of an answer against the best-matching gold answer, in [0, 1]."""
    predicted = normalise(prediction, language)
    normalised_golds = [normalise(gold, language) for gold in golds]
    best_f1 = max((f1(_tokens(predicted, language), _tokens(gold, language)) for gold in normalised_golds), default=0.0)
    return best_f1, float(any(predicted == gold for gold in normalised_golds))


def _tokens(text: str, language: str) -> list[str]:
    """Split into white-space tokens; in Chinese, each Han character is also a separate token."""
    if language != "zh":
        return text.split()
    return _CHINESE.sub(lambda match: f" {match.group()} ", text).split()
