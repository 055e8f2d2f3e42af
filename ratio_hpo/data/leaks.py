"""What a training source shares with what it is evaluated on: passages and questions, exactly and nearly.

Exact: equal after `normalised`, in one language. Near, in the folded form, without case, punctuation and white space:
a passage of which at least 0.8 of the character 8-grams stand in the other one, so that a passage inside a longer one
counts in either direction; an equal question. Parallel: a passage that another language of a parallel corpus is
evaluated on, known by its question ids.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.data.questions import Question, normalised

GRAM, NEAR = 8, 0.8
"""Characters of a gram, and the part of a passage's grams that makes it near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """What a training source and the evaluation data of a language share.

    Attributes:
        source: the training source.
        passages, questions: evaluation questions whose passage, or whose question text, is in the source.
        both: those of which both are.
        dropped: training questions with such a passage or question.
        near_passages, near_questions: evaluation questions whose passage or text is nearly in it, and not exactly.
        near_dropped: training questions that are near, and not exact.
        parallel_dropped: training questions on a passage that another language is evaluated on, of the rest.
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

    @property
    def found(self) -> int:
        """Training questions that leak, of any kind."""
        return self.dropped + self.near_dropped + self.parallel_dropped

    def lines(self, *, kept: bool) -> list[str]:
        """One line a kind of leak that there is."""
        what = "kept, as asked" if kept else "dropped from training"
        lines = []
        if self.dropped:
            lines.append(
                f"{self.source}: shares with the {self.language} evaluation data the passage of {self.passages} and "
                f"the text of {self.questions} evaluation question(s) ({self.both} both); "
                f"{self.dropped} training question(s) {what}"
            )
        if self.near_dropped:
            lines.append(
                f"{self.source}: nearly shares with the {self.language} evaluation data the passage of "
                f"{self.near_passages} and the text of {self.near_questions} more evaluation question(s); "
                f"{self.near_dropped} more training question(s) {what}"
            )
        if self.parallel_dropped:
            lines.append(
                f"{self.source}: stands on passages that other languages are evaluated on; "
                f"{self.parallel_dropped} more training question(s) {what}"
            )
        return lines


def find_leaks(
    source: str,
    language: str,
    training: Sequence[Question],
    evaluation: Sequence[Question],
    *,
    near: bool = True,
    parallel: Sequence[bool] = (),
) -> tuple[Leak, list[Question]]:
    """The leak, and the training questions without it.

    Args:
        near: whether nearly equal texts are looked for too.
        parallel: whether the passage of each training question is one that another language is evaluated on; none:
            of no question.
    """
    asked = [(normalised(q.context), normalised(q.question)) for q in evaluation]
    trained = [(normalised(q.context), normalised(q.question)) for q in training]
    passages, texts = {context for context, _ in trained}, {text for _, text in trained}
    by_passage = [context in passages for context, _ in asked]
    by_text = [text in texts for _, text in asked]
    seen_passages, seen_texts = {context for context, _ in asked}, {text for _, text in asked}
    exact = [context in seen_passages or text in seen_texts for context, text in trained]
    nearly = _Near(trained, asked) if near else None
    near_train = nearly.training() if nearly is not None else [False] * len(training)
    of_parallel = list(parallel) or [False] * len(training)
    leak = Leak(
        source=source,
        language=language,
        passages=sum(by_passage),
        questions=sum(by_text),
        both=sum(a and b for a, b in zip(by_passage, by_text, strict=True)),
        dropped=sum(exact),
        near_passages=sum(nearly.passages(by_passage)) if nearly is not None else 0,
        near_questions=sum(nearly.texts(by_text)) if nearly is not None else 0,
        near_dropped=sum(n and not e for n, e in zip(near_train, exact, strict=True)),
        parallel_dropped=sum(p and not (e or n) for p, e, n in zip(of_parallel, exact, near_train, strict=True)),
    )
    leaking = [any(kinds) for kinds in zip(exact, near_train, of_parallel, strict=True)]
    return leak, [question for question, leaks in zip(training, leaking, strict=True) if not leaks]


def folded(text: str) -> str:
    """A text without case, punctuation and white space: its letters, marks, numbers and symbols.

    Example:
        >>> folded("Je,mji mkuu ni upi?") == folded("je, mji mkuu ni upi")
        True
    """
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c)[0] in "LMNS")


class _Near:
    """Which passages and texts of two sets are nearly equal; each passage is cut into grams once."""

    def __init__(self, trained: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str]]) -> None:
        self._trained, self._asked = trained, asked
        self._texts = {folded(text) for _, text in trained}, {folded(text) for _, text in asked}
        ours, theirs = (sorted({context for context, _ in pairs}) for pairs in (trained, asked))
        self._near_trained: set[str] = set()
        self._near_asked: set[str] = set()
        for k, other in _contained([folded(t) for t in ours], [folded(t) for t in theirs]):
            self._near_trained.add(ours[k])
            self._near_asked.add(theirs[other])

    def training(self) -> list[bool]:
        """Whether a training question's passage or text is near one that is asked."""
        asked = self._texts[1] - {""}
        return [context in self._near_trained or folded(text) in asked for context, text in self._trained]

    def passages(self, exact: Sequence[bool]) -> list[bool]:
        """Whether an evaluation question's passage is near one that is trained on, and not in it exactly."""
        return [c in self._near_asked and not e for (c, _), e in zip(self._asked, exact, strict=True)]

    def texts(self, exact: Sequence[bool]) -> list[bool]:
        """Whether an evaluation question's text is near one that is trained on, and not equal to it."""
        trained = self._texts[0] - {""}
        return [folded(t) in trained and not e for (_, t), e in zip(self._asked, exact, strict=True)]


def _contained(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of passages of which one stands in the other, by at least `NEAR` of its grams.

    Exact, without sketches: the grams of `theirs` are sorted once, and each of `ours` looks its own up.
    """
    grams = [_grams(text) for text in theirs]
    if not grams:
        return []
    sizes = np.array([len(found) for found in grams])
    owners = np.repeat(np.arange(len(grams)), sizes)
    every = np.concatenate(grams)
    order = np.argsort(every, kind="stable")
    every, owners = every[order], owners[order]
    pairs = []
    for k, text in enumerate(ours):
        found = _grams(text)
        first, last = np.searchsorted(every, found, "left"), np.searchsorted(every, found, "right")
        hits = np.repeat(first, last - first) + _steps(last - first)
        if not len(hits):
            continue
        shared = np.bincount(owners[hits], minlength=len(grams))
        near = (shared >= NEAR * sizes) | (shared >= NEAR * len(found))
        pairs += [(k, int(other)) for other in np.flatnonzero(near & (shared > 0))]
    return pairs


def _steps(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, …, n - 1 for each of the counts n, one after another."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _grams(text: str) -> NDArray[np.int64]:
    """The different grams of a text, as sorted 64-bit numbers; a text shorter than a gram is one."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    if len(points) < GRAM:
        return np.array([crc32(text.encode())], dtype=np.int64)
    hashed = np.zeros(len(points) - GRAM + 1, dtype=np.uint64)
    for k in range(GRAM):  # FNV-1a over code points, which wraps at 64 bits
        hashed = (hashed ^ points[k : len(points) - GRAM + 1 + k]) * np.uint64(1099511628211)
        hashed ^= hashed >> np.uint64(29)
    return np.unique(hashed.astype(np.int64))
