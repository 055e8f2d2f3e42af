"""What a training source shares with what is evaluated: texts and questions, exactly and nearly, whatever the tasks.

Exact: equal after `normalised`, in one language. Near, in the folded form, without case, punctuation and white space:
a text of which at least 0.8 of the character 8-grams stand in the other one, so that a passage inside a longer one
counts in either direction; an equal question. Parallel: what another language of a parallel corpus is evaluated on,
known by its ids. Ids: the same long id in any language, as SQuAD's stay through translations.
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
"""Characters of a gram, and the part of a text's grams that makes it near."""

_Shown = tuple[tuple[str, ...], str]
"""The texts of an example, and what it asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """What a training source and the evaluation data of a language share.

    Attributes:
        source: the training source.
        passages, questions: evaluation examples of which a text, or the question asked, is in the source.
        both: those of which both are.
        dropped: training examples with such a text or question.
        near_passages, near_questions: evaluation examples whose text or question is nearly in it, and not exactly.
        near_dropped: training examples that are near, and not exact.
        parallel_dropped: training examples that belong to what another language is evaluated on, of the rest.
        id_dropped: training examples with the id of one that any language is evaluated on, of the rest.
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
        """Training examples that leak, of any kind."""
        return self.dropped + self.near_dropped + self.parallel_dropped + self.id_dropped

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
        if self.id_dropped:
            lines.append(
                f"{self.source}: has the ids of questions that are evaluated, in this language or another; "
                f"{self.id_dropped} more training question(s) {what}"
            )
        return lines


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
    """The leak, and the training examples without it; of whatever tasks the two are.

    Args:
        near: whether nearly equal texts are looked for too.
        parallel: whether each training example belongs to what another language is evaluated on; none: no one does.
        ids: of what any language is evaluated on, as `lasting_ids` gives them.
    """
    asked = [(_texts(example), normalised(example.asked)) for example in evaluation]
    trained = [(_texts(example), normalised(example.asked)) for example in training]
    passages, texts = {text for group, _ in trained for text in group}, {text for _, text in trained if text}
    by_passage = [any(text in passages for text in group) for group, _ in asked]
    by_text = [text in texts for _, text in asked]
    seen_passages, seen_texts = {text for group, _ in asked for text in group}, {text for _, text in asked if text}
    exact = [any(t in seen_passages for t in group) or text in seen_texts for group, text in trained]
    nearly = _Near(trained, asked) if near else None
    near_train = nearly.training() if nearly is not None else [False] * len(training)
    kinds = [exact, near_train, list(parallel) or [False] * len(training), [e.id in ids for e in training]]
    first = [next((k for k, holds in enumerate(each) if holds), None) for each in zip(*kinds, strict=True)]
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
"""Of a text that counts where it stands within a longer one: a name or a short sentence stands in many."""

LONG_ID = 8
"""Characters from which an id is taken to be the same thing wherever it stands: SQuAD's go through translations."""


def lasting_ids(examples: Iterable[Example]) -> frozenset[str]:
    """The ids that name the same question in other files too: long ones, and none that is a position in a file.

    Sentences of treebanks are numbered alike in every language, so only questions are known by their ids.
    """
    return frozenset(
        e.id for e in examples if isinstance(e, Question | Asked) and len(e.id) >= LONG_ID and not e.id.startswith("#")
    )


def _texts(example: Example) -> tuple[str, ...]:
    return tuple(normalised(text) for text in example.texts)


def folded(text: str) -> str:
    """A text without case, punctuation and white space: its letters, marks, numbers and symbols.

    Examples:
        >>> folded("Je,mji mkuu ni upi?") == folded("je, mji mkuu ni upi")
        True
    """
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c)[0] in "LMNS")


class _Near:
    """Which texts of two sets are nearly equal; each is cut into grams once."""

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
        """Whether a training example's text or question is near one that is asked."""
        return [
            any(text in self._near_trained for text in texts) or folded(text) in self._texts[1]
            for texts, text in self._trained
        ]

    def passages(self, exact: Sequence[bool]) -> list[bool]:
        """Whether an evaluation example's text is near one that is trained on, and not in it exactly."""
        near = (any(text in self._near_asked for text in texts) for texts, _ in self._asked)
        return [n and not e for n, e in zip(near, exact, strict=True)]

    def texts(self, exact: Sequence[bool]) -> list[bool]:
        """Whether an evaluation example's question is near one that is trained on, and not equal to it."""
        return [folded(t) in self._texts[0] and not e for (_, t), e in zip(self._asked, exact, strict=True)]


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
        ours_in_it = (shared >= NEAR * len(found)) & (len(found) >= MIN_GRAMS)
        it_in_ours = (shared >= NEAR * sizes) & (sizes >= MIN_GRAMS)
        alike = (shared >= NEAR * sizes) & (shared >= NEAR * len(found))
        near = ours_in_it | it_in_ours | alike
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
