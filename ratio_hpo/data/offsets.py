"""Map tokens back to the characters of the text.

A tokenizer's offsets leave out characters that its normaliser merged or deleted. When `e` and a combining acute become
one `é`, the offsets cover the `e` alone, so a span that ends there would lose its accent.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

JOINERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner; at the end of a word they are part of its spelling."""


def covered(spans: NDArray[Any], length: int) -> NDArray[np.bool_]:
    """Return which characters of a text are covered by a token [length].

    Args:
        spans: index of the first character and of the one after the last, for each token [tokens, 2].
    """
    edges = np.zeros(length + 1, dtype=np.int64)
    np.add.at(edges, spans[:, 0], 1)
    np.add.at(edges, spans[:, 1], -1)
    return np.cumsum(edges)[:length] > 0


def with_marks(text: str, stops: NDArray[Any], named: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the ends of tokens, moved past uncovered marks that belong to their last character.

    Args:
        stops: index of the character after the last one of each token.
        named: which characters are covered by a token.
    """
    reach = np.arange(len(text) + 1)
    for position in reversed(np.flatnonzero(~named).tolist()):
        if _continues_previous_character(text, position):
            reach[position] = reach[position + 1]
    return reach[stops]


def trimmed(text: str, begin: int, stop: int, named: NDArray[np.bool_]) -> tuple[int, int]:
    """Return a span without white space and uncovered characters at its ends."""
    while begin < stop and (text[begin].isspace() or not named[begin]):
        begin += 1
    while stop > begin and (text[stop - 1].isspace() or not named[stop - 1]):
        stop -= 1
    return begin, stop


def _continues_previous_character(text: str, position: int) -> bool:
    """Return whether a character is a combining mark, a later part of a Hangul syllable, or a word-final joiner."""
    character = text[position]
    if character in JOINERS:
        return position + 1 == len(text) or not text[position + 1].isalnum()
    is_jamo = "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"  # vowels and finals
    return is_jamo or unicodedata.category(character).startswith("M")
