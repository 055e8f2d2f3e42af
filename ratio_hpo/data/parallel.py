"""Passages that languages share: which questions of a parallel corpus stand on one passage, in any language.

A language may hold any subset of the questions, and each file knows only which of its own stand on one passage. So
passages are the connected components of (a passage of a file, a question id) over all languages: a component is in
one part of every split, whatever subset a language holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ratio_hpo.data.questions import Question


class Components:
    """The passages of a parallel corpus.

    Args:
        languages: questions of every language of the corpus.

    Example:
        Question 1 alone in German joins what two English passages hold: nothing; both languages share its passage.
    """

    def __init__(self, languages: Mapping[str, Sequence[Question]]) -> None:
        self._parent: dict[str, str] = {}
        for questions in languages.values():
            first: dict[str, str] = {}
            for question in questions:
                self._join(question.id, first.setdefault(question.passage, question.id))
        self._members: dict[str, frozenset[str]] = {}
        grouped: dict[str, set[str]] = {}
        for identifier in self._parent:
            grouped.setdefault(self._root(identifier), set()).add(identifier)
        for members in grouped.values():
            self._members[min(members)] = frozenset(members)
        self._key = {identifier: key for key, members in self._members.items() for identifier in members}

    def keyed(self, questions: Iterable[Question]) -> list[Question]:
        """The questions with the passage's key, which all languages share: the least id of its component."""
        return [replace(question, passage=self._key[question.id]) for question in questions]

    def relatives(self, questions: Iterable[Question]) -> frozenset[str]:
        """Every question id that stands on a passage of these, in any language."""
        keys = {self._key[question.id] for question in questions}
        return frozenset().union(*(self._members[key] for key in keys))

    def _root(self, identifier: str) -> str:
        while self._parent[identifier] != identifier:
            self._parent[identifier] = self._parent[self._parent[identifier]]
            identifier = self._parent[identifier]
        return identifier

    def _join(self, one: str, other: str) -> None:
        for identifier in (one, other):
            self._parent.setdefault(identifier, identifier)
        a, b = self._root(one), self._root(other)
        self._parent[max(a, b)] = min(a, b)
