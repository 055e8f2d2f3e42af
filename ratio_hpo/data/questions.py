"""A question with its passage and answers: the record that every extractive source yields."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from ratio_hpo.core.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of the passage: `context[start:start + len(text)] == text`, counted in characters."""

    text: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question.

    Attributes:
        id: unique within its corpus and language.
        passage: key of its passage; parallel languages share it.
    """

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    passage: str


def normalised(text: str) -> str:
    """NFKC, with every run of white space as one blank: what counts as the same text."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def fingerprint_questions(questions: Iterable[Question]) -> str:
    """A name of the content: order, ids, texts and answers."""
    return fingerprint([[q.id, q.question, q.context, [[a.text, a.start] for a in q.answers]] for q in questions])
