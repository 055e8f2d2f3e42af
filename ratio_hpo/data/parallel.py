"""Groups that languages share: which examples of a parallel corpus belong together, in any language.

A language may hold any subset of the examples, and each file knows only which of its own stand on one passage. So
groups are the connected components of (a group of a file, an id) over all languages: a component is in one part of
every split, whatever subset a language holds. Line-aligned sets have the row as their id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ratio_hpo.data.examples import E, Example


class ConnectedComponents:
    """The groups of a parallel corpus.

    Args:
        languages: examples of every language of the corpus.

    Examples:
        Question 1 alone in German joins what two English passages hold: nothing; both languages share its passage.
    """

    def __init__(self, languages: Mapping[str, Sequence[Example]]) -> None:
        self._parent: dict[str, str] = {}
        for examples in languages.values():
            first: dict[str, str] = {}
            for example in examples:
                self._join(example.id, first.setdefault(example.group, example.id))
        self._members: dict[str, frozenset[str]] = {}
        grouped: dict[str, set[str]] = {}
        for identifier in self._parent:
            grouped.setdefault(self._root(identifier), set()).add(identifier)
        for members in grouped.values():
            self._members[min(members)] = frozenset(members)
        self._key = {identifier: key for key, members in self._members.items() for identifier in members}

    def keyed(self, examples: Iterable[E]) -> list[E]:
        """The examples with their group's key, which all languages share: the least id of its component."""
        return [replace(example, group=self._key[example.id]) for example in examples]

    def relatives(self, examples: Iterable[Example]) -> frozenset[str]:
        """Every id that belongs to a group of these, in any language."""
        keys = {self._key[example.id] for example in examples}
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
