"""Groups of a parallel corpus that all languages share.

A language may hold any subset of the examples, and each file only shows which of its own examples share a passage.
Groups are therefore the connected components of the graph of (group in a file, id) over all languages. A component is
in one part of every split, whatever subset a language holds. The id of an example in a line-aligned set is its row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import unit_hash
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


REST = "rest"
WHOLE = "all"

Sizes = Mapping[str, float | int | str]
"""Size of each part: a fraction (0.25), a number of examples (200), or `rest`."""


def check_sizes(sizes: Sizes, *, parallel: bool) -> None:
    """Check that the sizes of parts are valid.

    Raises:
        ValueError: fractions and counts are mixed, fractions sum to more than 1, `rest` occurs twice, or parallel
            languages have counts.
    """
    plain = [size for size in sizes.values() if size != REST]
    if sum(size == REST for size in sizes.values()) > 1:
        raise ValueError("parts need at most one `rest`; give the other parts a size")
    if any(isinstance(size, (str, bool)) for size in plain):
        raise ValueError(f"parts need fractions, numbers of examples or `rest`, but got {dict(sizes)}; correct them")
    numbers = [size for size in plain if not isinstance(size, str)]
    if any(size <= 0 for size in numbers):
        raise ValueError(f"parts need sizes over 0, but got {dict(sizes)}; correct them")
    fractions = [size for size in numbers if isinstance(size, float) or size == 1]
    if fractions and len(fractions) != len(numbers):
        raise ValueError(f"parts need all fractions or all numbers of examples, but got {dict(sizes)}; choose one")
    if fractions and sum(fractions) > 1.0 + 1e-9:
        raise ValueError(f"fractions of parts need a sum of at most 1, but got {sum(fractions):g}; lower them")
    if parallel and not fractions and numbers:
        raise ValueError("parts of parallel languages need fractions, so that all languages are cut alike; use them")


def cut(examples: Sequence[E], sizes: Sizes, *, seed: int) -> dict[str, list[E]]:
    """Return the parts of a corpus, each in the order of the corpus; each group (passage, premise) is in one part.

    With fractions, a hash of its key places each group, so a group is in the same part in every language and whatever
    else the corpus holds. With numbers of examples, parts are filled group by group in the order of that hash. Examples
    that are only retrieval candidates are in no part.

    Raises:
        ConfigError: more examples are requested than the corpus holds.
    """
    if not sizes:
        return {WHOLE: list(examples)}
    examples = [example for example in examples if example.is_asked]
    positions = {key: unit_hash("split", seed, key) for key in {e.group for e in examples}}
    sized = {name: size for name, size in sizes.items() if not isinstance(size, str)}
    if any(isinstance(size, float) or size == 1 for size in sized.values()):
        part_of = _by_fraction(positions, sized)
    else:
        part_of = _by_count(examples, positions, sized)
    rest = next((name for name, size in sizes.items() if size == REST), None)
    parts: dict[str, list[E]] = {name: [] for name in sizes}
    for example in examples:
        name = part_of.get(example.group, rest)
        if name is not None:
            parts[name].append(example)
    return parts


def _by_fraction(positions: Mapping[str, float], sizes: Mapping[str, float]) -> dict[str, str]:
    part_of: dict[str, str] = {}
    edge = 0.0
    for name, size in sizes.items():
        part_of |= {key: name for key, value in positions.items() if edge <= value < edge + size}
        edge += size
    return part_of


def _by_count(
    examples: Sequence[Example], positions: Mapping[str, float], sizes: Mapping[str, float]
) -> dict[str, str]:
    num_examples = Counter(example.group for example in examples)
    ordered = iter(sorted(positions, key=lambda key: (positions[key], key)))
    part_of: dict[str, str] = {}
    for name, size in sizes.items():
        num_taken = 0
        while num_taken < size:
            key = next(ordered, None)
            if key is None:
                raise ConfigError(f"parts: {name} needs {size} examples, but only {num_taken} are left; lower it")
            part_of[key] = name
            num_taken += num_examples[key]
    return part_of
