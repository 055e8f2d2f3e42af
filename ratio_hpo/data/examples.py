"""Examples: the records of sources, with one class for each kind of task.

An example of any task has an id, a group that no split cuts, and texts that leaks are searched by.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from ratio_hpo.core.fingerprint import fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Base class of all records.

    Attributes:
        id: unique within its corpus and language; an id that begins with `#` is a position in the file.
        group: key of what a split must not cut (passage, premise or sentence); parallel languages share it.
    """

    id: str
    group: str

    @property
    def is_asked(self) -> bool:
        """Whether the example is itself a query; some examples of a retrieval set are only candidates."""
        return True

    @property
    def is_trained(self) -> bool:
        """Whether the example may be trained on; some examples are only scored."""
        return True

    @property
    def written_in(self) -> str:
        """Language code of the example in a file of several languages; empty: the language of the file."""
        return ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts that mark a training example as a leak if an evaluation example has an equal or nearly equal one."""
        return ()

    @property
    def asked(self) -> str:
        """Question that marks a training example as a leak if an evaluation example has an equal one; may be empty."""
        return ""

    def print(self) -> list[object]:
        """Return all content, for fingerprints."""
        raise NotImplementedError


E = TypeVar("E", bound=Example)
"""Type variable for one class of examples."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of the passage in characters: `context[start:start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Example):
    """A question on a passage; a question without answers cannot be answered from its passage."""

    question: str
    context: str
    answers: tuple[Answer, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.context,)

    @property
    def asked(self) -> str:
        return self.question

    def print(self) -> list[object]:
        return [self.id, self.question, self.context, [[a.text, a.start] for a in self.answers]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(Example):
    """Two texts with a label: inference (premise, hypothesis) or paraphrase.

    Attributes:
        symmetric: whether both texts play the same role, so that either one can leak the example.
        placeholder: whether a text is a placeholder for a missing one. Such a pair is scored, as in the official
            script, but not trained on.
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

    def print(self) -> list[object]:
        return [self.id, self.first, self.second, self.label]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceQuestion(Example):
    """A prompt with alternatives, one of which is correct.

    Attributes:
        label: index of the correct alternative, from 0.
    """

    prompt: str
    choices: tuple[str, ...]
    label: int

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.prompt,)

    def print(self) -> list[object]:
        return [self.id, self.prompt, list(self.choices), self.label]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence(Example):
    """A sentence as words, each with a tag."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return (" ".join(self.words),)

    def print(self) -> list[object]:
        return [self.id, list(self.words), list(self.tags)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Example):
    """A piece of text, for masked language modelling."""

    text: str

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text,)

    def print(self) -> list[object]:
        return [self.id, self.text]


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation(Example):
    """A sentence and its translation into English."""

    text: str
    english: str

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text, self.english)

    def print(self) -> list[object]:
        return [self.id, self.text, self.english]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined(Example):
    """A sentence of a bitext to be mined.

    Attributes:
        english: whether the sentence is on the English side.
        development: whether the sentence is only used to find the threshold.
        mates: ids of its translations on the English side; empty for English sentences.
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

    def print(self) -> list[object]:
        return [self.id, self.text, self.english, self.development, list(self.mates)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Example):
    """A query of a retrieval set: a question for a sentence with its passage, or a mention for its entity.

    Attributes:
        context: passage of the query, which leaks are searched by; may be empty.
        candidates: candidates that the example adds to the retrieval set.
        answer: index of the correct candidate; None: the example is no query and only adds its candidates.
        language: language of the query in a file of several languages.
    """

    question: str
    context: str
    candidates: tuple[str, ...]
    answer: int | None
    language: str = ""

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

    def print(self) -> list[object]:
        return [self.id, self.question, self.context, list(self.candidates), self.answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Example):
    """An example of a retrieval set with its role. Every query searches the whole set.

    Attributes:
        split: split that the query belongs to; empty: the example is only a candidate.
    """

    example: Example
    language: str
    split: str = ""

    def print(self) -> list[object]:
        return [self.language, self.split, self.example.print()]


def normalised(text: str) -> str:
    """Return a text in NFKC with each run of white space as one blank; equal results count as the same text."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def group_of(text: str) -> str:
    """Return the group key of examples that are based on a text."""
    return fingerprint(normalised(text))


def fingerprint_examples(examples: Iterable[Example]) -> str:
    """Return the fingerprint of examples: their order, ids, texts and labels."""
    return fingerprint([example.print() for example in examples])
