"""From tokens back to the characters that they were made of.

A tokenizer's offsets leave out characters that its normaliser merged or deleted: of `e` and an acute that become
one `é`, they name the `e`. A span that ends there would lose its accent.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

JOINERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner: where a word ends in one, it is part of how the word is written."""


def covered(spans: NDArray[Any], length: int) -> NDArray[np.bool_]:
    """Which characters of a text some token names [length].

    Args:
        spans: first character and the one after the last, of each token [tokens, 2].
    """
    edges = np.zeros(length + 1, dtype=np.int64)
    np.add.at(edges, spans[:, 0], 1)
    np.add.at(edges, spans[:, 1], -1)
    return np.cumsum(edges)[:length] > 0


def with_marks(text: str, stops: NDArray[Any], named: NDArray[np.bool_]) -> NDArray[Any]:
    """Ends of tokens, moved behind the marks that belong to their last character and that no token names.

    Args:
        stops: the character after the last one of each token.
        named: which characters some token names.
    """
    reach = np.arange(len(text) + 1)
    for place in reversed(np.flatnonzero(~named).tolist()):
        if _belongs_to_the_one_before(text, place):
            reach[place] = reach[place + 1]
    return reach[stops]


def trimmed(text: str, begin: int, stop: int, named: NDArray[np.bool_]) -> tuple[int, int]:
    """A span without the white space at its ends, and without what no token names there."""
    while begin < stop and (text[begin].isspace() or not named[begin]):
        begin += 1
    while stop > begin and (text[stop - 1].isspace() or not named[stop - 1]):
        stop -= 1
    return begin, stop


def _belongs_to_the_one_before(text: str, place: int) -> bool:
    """Whether a character is a mark on the one before it, the rest of a Hangul syllable, or ends a word as a joiner."""
    character = text[place]
    if character in JOINERS:
        return place + 1 == len(text) or not text[place + 1].isalnum()
    is_jamo = "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"  # vowels and finals
    return is_jamo or unicodedata.category(character).startswith("M")
