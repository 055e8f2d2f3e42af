"""MLQA exact match and F1 (Lewis et al. 2020, arXiv 1910.07475, section 4.1), written from the definition.

Against SQuAD v1.1: articles of each language are dropped, all Unicode punctuation counts as punctuation, ASCII
symbols too, and Chinese is compared character by character. Defined for the seven languages of MLQA alone.
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
    """Lower case without punctuation, the language's articles and extra white space.

    Raises:
        ConfigError: a language that MLQA does not define.
    """
    if language not in _ARTICLES:
        raise ConfigError(
            f"mlqa scores need a language of {', '.join(LANGUAGES)}, but got {language}; use metric: squad"
        )
    bare = "".join(c for c in text.lower() if c not in _ASCII and not unicodedata.category(c).startswith("P"))
    if _ARTICLES[language]:
        bare = re.sub(_ARTICLES[language], " ", bare)
    return " ".join(_tokens(bare, language))


def score(prediction: str, golds: Sequence[str], language: str) -> Score:
    """F1 and exact match of an answer, against the gold answer that suits it best, in [0, 1]."""
    said = normalise(prediction, language)
    wanted = [normalise(gold, language) for gold in golds]
    best_f1 = max((f1(_tokens(said, language), _tokens(gold, language)) for gold in wanted), default=0.0)
    return best_f1, float(any(said == gold for gold in wanted))


def _tokens(text: str, language: str) -> list[str]:
    """White-space tokens; in Chinese each Han character by itself and other runs whole."""
    if language != "zh":
        return text.split()
    return _CHINESE.sub(lambda match: f" {match.group()} ", text).split()
