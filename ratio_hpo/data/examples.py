"""Examples: the records that sources are made of, one class a kind of task.

Whatever the task, an example has an id, a group that no split cuts, and the texts by which leaks are found.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from ratio_hpo.core.fingerprint import fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What every record has.

    Attributes:
        id: unique within its corpus and language; one that begins with `#` is a position in the file.
        group: what a split must not cut: passage, premise, sentence; parallel languages share it.
    """

    id: str
    group: str

    @property
    def is_asked(self) -> bool:
        """Whether it is asked itself: some of a retrieval set are only there to be found."""
        return True

    @property
    def is_trained(self) -> bool:
        """Whether it may be trained on; some are there to be scored alone."""
        return True

    @property
    def written_in(self) -> str:
        """Code of its language, where a file holds several; empty: the file's."""
        return ""

    @property
    def texts(self) -> tuple[str, ...]:
        """What makes an example of the training data the same as one that is evaluated, if it is equal or near."""
        return ()

    @property
    def asked(self) -> str:
        """A text that makes it the same if it is equal; empty: there is none."""
        return ""

    def print(self) -> list[Any]:
        """All of its content, for fingerprints."""
        raise NotImplementedError


E = TypeVar("E", bound=Example)
"""Examples of one kind."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of the passage: `context[start:start + len(text)] == text`, counted in characters."""

    text: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Example):
    """A question on a passage; without answers it cannot be answered from it."""

    question: str
    context: str
    answers: tuple[Answer, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.context,)

    @property
    def asked(self) -> str:
        return self.question

    def print(self) -> list[Any]:
        return [self.id, self.question, self.context, [[a.text, a.start] for a in self.answers]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(Example):
    """Two texts with a label: inference (premise, hypothesis) or paraphrase.

    Attributes:
        symmetric: whether the two are of one kind, so that either one gives an example away.
        placeholder: whether a text stands for one that is missing: it is scored, as the official script does, and not
            trained on.
    """

    first: str
    second: str
    label: str
    symmetric: bool = False
    placeholder: bool = False

    @property
    def is_trained(self) -> bool:
        return not self.placeholder

    @property
    def texts(self) -> tuple[str, ...]:
        if self.placeholder:
            return ()
        return (self.first, self.second) if self.symmetric else (self.first,)

    def print(self) -> list[Any]:
        return [self.id, self.first, self.second, self.label]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceQuestion(Example):
    """A prompt with alternatives, of which one is right.

    Attributes:
        label: index of the right one, from 0.
    """

    prompt: str
    choices: tuple[str, ...]
    label: int

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.prompt,)

    def print(self) -> list[Any]:
        return [self.id, self.prompt, list(self.choices), self.label]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence(Example):
    """Words, each with a tag."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return (" ".join(self.words),)

    def print(self) -> list[Any]:
        return [self.id, list(self.words), list(self.tags)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Example):
    """A piece of text, for masked language modelling."""

    text: str

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text,)

    def print(self) -> list[Any]:
        return [self.id, self.text]


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation(Example):
    """A sentence and its translation into English."""

    text: str
    english: str

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text, self.english)

    def print(self) -> list[Any]:
        return [self.id, self.text, self.english]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined(Example):
    """A sentence of a bitext to be mined.

    Attributes:
        english: whether it is of the English side.
        development: whether it only serves to find the threshold.
        mates: ids of its translations on the other side; of the foreign side alone.
    """

    text: str
    english: bool
    development: bool = False
    mates: tuple[str, ...] = ()

    @property
    def is_asked(self) -> bool:
        return not (self.english or self.development)

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text,)

    def print(self) -> list[Any]:
        return [self.id, self.text, self.english, self.development, list(self.mates)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Example):
    """A question for one of many candidates: for a sentence with its passage, or a mention for its entity.

    Attributes:
        context: what it was asked on, by which leaks are found; empty: there is none.
        candidates: that it brings to those that are there to be found.
        answer: index of the right one among them; None: it asks nothing, and only brings its candidates.
        language: of what is asked, where a file holds several.
    """

    question: str
    context: str
    candidates: tuple[str, ...]
    answer: int | None
    language: str = ""

    @property
    def is_trained(self) -> bool:
        """Whether it may be trained on; some are there to be scored alone."""
        return True

    @property
    def written_in(self) -> str:
        return self.language

    @property
    def is_asked(self) -> bool:
        return self.answer is not None

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.context,) if self.context else ()

    @property
    def asked(self) -> str:
        return self.question

    def print(self) -> list[Any]:
        return [self.id, self.question, self.context, list(self.candidates), self.answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Example):
    """An example of a retrieval set, which is searched whole: what it is, and whether it is asked itself.

    Attributes:
        split: whose query it is; empty: it is only found.
    """

    example: Example
    language: str
    split: str = ""

    def print(self) -> list[Any]:
        return [self.language, self.split, self.example.print()]


def normalised(text: str) -> str:
    """NFKC, with every run of white space as one blank: what counts as the same text."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def group_of(text: str) -> str:
    """The group of what stands on a text."""
    return fingerprint(normalised(text))


def fingerprint_examples(examples: Iterable[Example]) -> str:
    """A name of the content: order, ids, texts and labels."""
    return fingerprint([example.print() for example in examples])
