"""Leaks: texts, questions and ids that a training source shares with evaluation data, for any pair of tasks.

There are four kinds of leaks:

- Exact: a text or question of one language is equal after `normalised`.
- Near: texts are compared after `folded` (no case, punctuation or white space). Two texts are near if at least 0.8 of
  the character 8-grams of one occur in the other, so a passage inside a longer one counts in both directions. Two
  questions are near if their folded forms are equal.
- Parallel: another language of a parallel corpus is evaluated on the same passage, which is identified by its ids.
- Ids: an evaluation example of any language has the same long id. Translations of SQuAD keep its ids.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.data.examples import Asked, E, Example, Question, normalised

GRAM, NEAR = 8, 0.8
"""Characters per gram, and the fraction of a text's grams that makes two texts near."""

_Shown = tuple[tuple[str, ...], str]
"""The normalised texts and the normalised question of an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Counts of what a training source and the evaluation data of a language share.

    Each training example is counted once, under the first kind of leak that applies.

    Attributes:
        source: the training source.
        passages, questions: evaluation examples whose text, or whose question, is in the source.
        both: evaluation examples whose text and question are both in the source.
        dropped: training examples with such a text or question.
        near_passages, near_questions: evaluation examples with a near text or question in the source, but no exact one.
        near_dropped: other training examples with a near text or question.
        parallel_dropped: other training examples on passages that another language is evaluated on.
        id_dropped: other training examples with the id of an evaluation example of any language.
    """

    source: str
    language: str
    passages: int = 0
    questions: int = 0
    both: int = 0
    dropped: int = 0
    near_passages: int = 0
    near_questions: int = 0
    near_dropped: int = 0
    parallel_dropped: int = 0
    id_dropped: int = 0

    @property
    def found(self) -> int:
        """Number of training examples with a leak of any kind."""
        return self.dropped + self.near_dropped + self.parallel_dropped + self.id_dropped

    def lines(self, *, kept: bool) -> list[str]:
        """Return one line for each kind of leak that occurs."""
        outcome = "kept, as requested" if kept else "dropped from training"
        kinds = (
            (
                self.dropped,
                f"shares with the {self.language} evaluation data the passages of {self.passages} and the texts of "
                f"{self.questions} evaluation question(s) (both of {self.both}); {self.dropped}",
            ),
            (
                self.near_dropped,
                f"nearly shares with the {self.language} evaluation data the passages of {self.near_passages} and the "
                f"texts of {self.near_questions} more evaluation question(s); {self.near_dropped} more",
            ),
            (
                self.parallel_dropped,
                f"contains passages that other languages are evaluated on; {self.parallel_dropped} more",
            ),
            (
                self.id_dropped,
                f"contains ids of evaluation questions in this or another language; {self.id_dropped} more",
            ),
        )
        return [f"{self.source}: {text} training question(s) {outcome}" for number, text in kinds if number]


def find_leaks(
    source: str,
    language: str,
    training: Sequence[E],
    evaluation: Sequence[Example],
    *,
    near: bool = True,
    parallel: Sequence[bool] = (),
    ids: Set[str] = frozenset(),
) -> tuple[Leak, list[E]]:
    """Return the leak, and the training examples that do not leak. The two may be of different tasks.

    Args:
        near: whether to search for near texts and questions too.
        parallel: for each training example, whether another language is evaluated on its group; empty: none is.
        ids: ids of the evaluation examples of all languages, from `lasting_ids`.
    """
    evaluated = [(_texts(example), normalised(example.asked)) for example in evaluation]
    trained = [(_texts(example), normalised(example.asked)) for example in training]
    passages, texts = {text for group, _ in trained for text in group}, {text for _, text in trained if text}
    by_passage = [any(text in passages for text in group) for group, _ in evaluated]
    by_text = [text in texts for _, text in evaluated]
    seen_passages = {text for group, _ in evaluated for text in group}
    seen_texts = {text for _, text in evaluated if text}
    exact = [any(t in seen_passages for t in group) or text in seen_texts for group, text in trained]
    nearly = _Near(trained, evaluated) if near else None
    near_train = nearly.training() if nearly is not None else [False] * len(training)
    kinds = [exact, near_train, list(parallel) or [False] * len(training), [e.id in ids for e in training]]
    first = [next((k for k, holds in enumerate(flags) if holds), None) for flags in zip(*kinds, strict=True)]
    leak = Leak(
        source=source,
        language=language,
        passages=sum(by_passage),
        questions=sum(by_text),
        both=sum(a and b for a, b in zip(by_passage, by_text, strict=True)),
        dropped=first.count(0),
        near_passages=sum(nearly.passages(by_passage)) if nearly is not None else 0,
        near_questions=sum(nearly.texts(by_text)) if nearly is not None else 0,
        near_dropped=first.count(1),
        parallel_dropped=first.count(2),
        id_dropped=first.count(3),
    )
    return leak, [example for example, kind in zip(training, first, strict=True) if kind is None]


MIN_GRAMS = 20
"""Minimum grams of a text that may be near a longer one; a name or a short sentence occurs in many texts."""

LONG_ID = 8
"""Minimum length of an id that identifies the same question in every file; translations of SQuAD keep its ids."""


def lasting_ids(examples: Iterable[Example]) -> frozenset[str]:
    """Return the ids that identify the same question in other files: long ids that are no position in a file.

    Only ids of questions are used, since treebanks number their sentences alike in every language.
    """
    return frozenset(
        e.id for e in examples if isinstance(e, Question | Asked) and len(e.id) >= LONG_ID and not e.id.startswith("#")
    )


def _texts(example: Example) -> tuple[str, ...]:
    return tuple(normalised(text) for text in example.texts)


def folded(text: str) -> str:
    """Return the letters, marks, numbers and symbols of a text, without case, punctuation and white space.

    Examples:
        >>> folded("Je,mji mkuu ni upi?") == folded("je, mji mkuu ni upi")
        True
    """
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c)[0] in "LMNS")


class _Near:
    """Near texts and questions of two sets of examples; each text is cut into grams once."""

    def __init__(self, trained: Sequence[_Shown], asked: Sequence[_Shown]) -> None:
        self._trained, self._asked = trained, asked
        self._texts = {folded(text) for _, text in trained} - {""}, {folded(text) for _, text in asked} - {""}
        ours, theirs = (sorted({text for texts, _ in shown for text in texts}) for shown in (trained, asked))
        self._near_trained: set[str] = set()
        self._near_asked: set[str] = set()
        for k, other in _contained([folded(t) for t in ours], [folded(t) for t in theirs]):
            self._near_trained.add(ours[k])
            self._near_asked.add(theirs[other])

    def training(self) -> list[bool]:
        """Return, for each training example, whether its text or question is near one of the evaluation data."""
        return [
            any(text in self._near_trained for text in texts) or folded(text) in self._texts[1]
            for texts, text in self._trained
        ]

    def passages(self, exact: Sequence[bool]) -> list[bool]:
        """Return, for each evaluation example, whether its text is near one of the training data, none equal."""
        near = (any(text in self._near_asked for text in texts) for texts, _ in self._asked)
        return [n and not e for n, e in zip(near, exact, strict=True)]

    def texts(self, exact: Sequence[bool]) -> list[bool]:
        """Return, for each evaluation example, whether its question is near one of the training data, none equal."""
        return [folded(t) in self._texts[0] and not e for (_, t), e in zip(self._asked, exact, strict=True)]


def _contained(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Return the index pairs of passages where at least `NEAR` of the grams of one occur in the other.

    The counts are exact (no sketches): the grams of `theirs` are sorted once, and those of `ours` are looked up.
    """
    grams = [_grams(text) for text in theirs]
    if not grams:
        return []
    sizes = np.array([len(text_grams) for text_grams in grams])
    owners = np.repeat(np.arange(len(grams)), sizes)
    all_grams = np.concatenate(grams)
    order = np.argsort(all_grams, kind="stable")
    all_grams, owners = all_grams[order], owners[order]
    pairs = []
    for k, text in enumerate(ours):
        text_grams = _grams(text)
        first, last = np.searchsorted(all_grams, text_grams, "left"), np.searchsorted(all_grams, text_grams, "right")
        hits = np.repeat(first, last - first) + _steps(last - first)
        if not len(hits):
            continue
        shared = np.bincount(owners[hits], minlength=len(grams))
        ours_in_it = (shared >= NEAR * len(text_grams)) & (len(text_grams) >= MIN_GRAMS)
        it_in_ours = (shared >= NEAR * sizes) & (sizes >= MIN_GRAMS)
        alike = (shared >= NEAR * sizes) & (shared >= NEAR * len(text_grams))
        near = ours_in_it | it_in_ours | alike
        pairs += [(k, int(index)) for index in np.flatnonzero(near & (shared > 0))]
    return pairs


def _steps(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the concatenated ranges 0, 1, …, n - 1 of all counts n."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _grams(text: str) -> NDArray[np.int64]:
    """Return the distinct grams of a text as sorted 64-bit hashes; a text shorter than a gram is one gram."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    if len(points) < GRAM:
        return np.array([crc32(text.encode())], dtype=np.int64)
    hashed = np.zeros(len(points) - GRAM + 1, dtype=np.uint64)
    for k in range(GRAM):  # FNV-1a over code points, modulo 2^64
        hashed = (hashed ^ points[k : len(points) - GRAM + 1 + k]) * np.uint64(1099511628211)
        hashed ^= hashed >> np.uint64(29)
    return np.unique(hashed.astype(np.int64))
