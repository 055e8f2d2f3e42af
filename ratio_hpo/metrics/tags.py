"""Scores of tagged sentences: F1 of runs of equal tags (parts of speech in XTREME), F1 of IOB2 spans, accuracy.

Each score has a numerator and a denominator per sentence and is the ratio of their sums (micro average).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ratio_hpo.metrics.convergence import Sums

SINGLE = ("S", "B", "E")
"""First letters of tags whose runs are split into single words: SCONJ and SYM."""


def runs(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Return maximal runs of equal tags as (first, last, tag); each word tagged S..., B... or E... is a separate run.

    This reproduces the behaviour of seqeval 0.0.12 on tags without a prefix, as XTREME uses it; no code is taken from
    it. `O` does not form runs.

    Examples:
        >>> sorted(runs(["DET", "NOUN", "NOUN", "SYM", "SYM"]))
        [(0, 0, 'DET'), (1, 2, 'NOUN'), (3, 3, 'SYM'), (4, 4, 'SYM')]
    """
    run_set: set[tuple[int, int, str]] = set()
    first = 0
    for k, tag in enumerate(tags):
        ends = k + 1 == len(tags) or tags[k + 1] != tag or tag.startswith(SINGLE)
        if ends and tag != "O":
            run_set.add((first, k, tag))
        if ends:
            first = k + 1
    return run_set


def spans(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Return entities as (first, last, type) by the rules of conlleval: an `I-X` not preceded by X opens an entity.

    Examples:
        >>> sorted(spans("I-PER I-PER O B-LOC I-ORG I-ORG B-ORG I-LOC".split()))
        [(0, 1, 'PER'), (3, 3, 'LOC'), (4, 5, 'ORG'), (6, 6, 'ORG'), (7, 7, 'LOC')]
    """
    entities: set[tuple[int, int, str]] = set()
    first, kind = 0, ""
    for k, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        if kind and (mark != "I" or name != kind):
            entities.add((first, k - 1, kind))
            kind = ""
        if mark in ("B", "I") and not kind:
            first, kind = k, name
    return entities


def f1_counts(
    said: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    entities: Callable[[Sequence[str]], set[tuple[int, int, str]]],
) -> Sums:
    """Return, for each sentence, twice the number of matching entities, and the number of predicted and gold ones."""
    pairs = [(entities(predicted), entities(correct)) for predicted, correct in zip(said, gold, strict=True)]
    return (
        np.array([2.0 * len(predicted & correct) for predicted, correct in pairs]),
        np.array([float(len(predicted) + len(correct)) for predicted, correct in pairs]),
    )


def accuracy_counts(said: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Sums:
    """Return the number of correct words and the number of words, for each sentence."""
    return (
        np.array([float(sum(a == b for a, b in zip(x, y, strict=True))) for x, y in zip(said, gold, strict=True)]),
        np.array([float(len(sentence)) for sentence in gold]),
    )
