"""Scores of tagged sentences: runs of equal tags (XTREME's F1 of parts of speech), spans in IOB2, accuracy.

Each gives a numerator and a denominator a sentence; the score is the ratio of their sums, micro over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Counts = tuple[NDArray[np.float64], NDArray[np.float64]]

SINGLE = ("S", "B", "E")
"""First letters that make each tag an entity of its own: SCONJ and SYM."""


def runs(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Maximal runs of one equal tag, as (first, last, tag); a tag that begins with S, B or E is a run a word.

    That is what seqeval 0.0.12 makes of bare tags, which XTREME scores with it: written from its behaviour, not its
    code. `O` is no run.

    Examples:
        >>> sorted(runs(["DET", "NOUN", "NOUN", "SYM", "SYM"]))
        [(0, 0, 'DET'), (1, 2, 'NOUN'), (3, 3, 'SYM'), (4, 4, 'SYM')]
    """
    found: set[tuple[int, int, str]] = set()
    first = 0
    for k, tag in enumerate(tags):
        ends = k + 1 == len(tags) or tags[k + 1] != tag or tag.startswith(SINGLE)
        if ends and tag != "O":
            found.add((first, k, tag))
        if ends:
            first = k + 1
    return found


def spans(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Entities as (first, last, type) by conlleval's rules: an `I-X` that continues no X opens one.

    Examples:
        >>> sorted(spans("I-PER I-PER O B-LOC I-ORG I-ORG B-ORG I-LOC".split()))
        [(0, 1, 'PER'), (3, 3, 'LOC'), (4, 5, 'ORG'), (6, 6, 'ORG'), (7, 7, 'LOC')]
    """
    found: set[tuple[int, int, str]] = set()
    first, kind = 0, ""
    for k, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        if kind and (mark != "I" or name != kind):
            found.add((first, k - 1, kind))
            kind = ""
        if mark in ("B", "I") and not kind:
            first, kind = k, name
    return found


def f1_counts(
    said: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    entities: Callable[[Sequence[str]], set[tuple[int, int, str]]],
) -> Counts:
    """Twice what agrees, and what was said and what is right, of each sentence."""
    pairs = [(entities(ours), entities(theirs)) for ours, theirs in zip(said, gold, strict=True)]
    return (
        np.array([2.0 * len(ours & theirs) for ours, theirs in pairs]),
        np.array([float(len(ours) + len(theirs)) for ours, theirs in pairs]),
    )


def accuracy_counts(said: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Counts:
    """Right words, and all words, of each sentence."""
    return (
        np.array([float(sum(a == b for a, b in zip(x, y, strict=True))) for x, y in zip(said, gold, strict=True)]),
        np.array([float(len(sentence)) for sentence in gold]),
    )
