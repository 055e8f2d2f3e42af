"""Groups of a parallel corpus that all languages share.

A language may hold any subset of the examples, and each file only shows which of its own examples share a passage.
Groups are therefore the connected components of the graph of (group in a file, id) over all languages. A component is
in one part of every split, whatever subset a language holds. The id of an example in a line-aligned set is its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ratio_hpo.data.examples import E, Example


class ConnectedComponents:
    """The groups of a parallel corpus.

    Args:
        languages: the examples of every language of the corpus.

    Examples:
        If German has only question 1, it joins no two English passages; both languages share the passage of question 1.
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
        """Return the examples with the group key that all languages share: the smallest id of the component."""
        return [replace(example, group=self._key[example.id]) for example in examples]

    def relatives(self, examples: Iterable[Example]) -> frozenset[str]:
        """Return every id in the groups of these examples, in any language."""
        keys = {self._key[example.id] for example in examples}
        return frozenset().union(*(self._members[key] for key in keys))

    def _root(self, identifier: str) -> str:
        while self._parent[identifier] != identifier:
            self._parent[identifier] = self._parent[self._parent[identifier]]
            identifier = self._parent[identifier]
        return identifier

    def _join(self, first: str, second: str) -> None:
        for identifier in (first, second):
            self._parent.setdefault(identifier, identifier)
        a, b = self._root(first), self._root(second)
        self._parent[max(a, b)] = min(a, b)
