"""Cut a corpus into disjoint parts by group: deterministically, and alike in parallel languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import unit_hash
from ratio_hpo.data.examples import E, Example

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
    if any(isinstance(size, float) or size == 1 for size in sizes.values()):
        part_of = _by_fraction(positions, sizes)
    else:
        part_of = _by_count(examples, positions, sizes)
    parts: dict[str, list[E]] = {name: [] for name in sizes}
    for example in examples:
        name = part_of.get(example.group)
        if name is not None:
            parts[name].append(example)
    return parts


def _by_fraction(positions: Mapping[str, float], sizes: Sizes) -> dict[str, str]:
    edges, edge = [], 0.0
    for name, size in sizes.items():
        if not isinstance(size, str):
            edges.append((edge, edge + size, name))
            edge += size
    rest = next((name for name, size in sizes.items() if size == REST), None)
    part_of = {}
    for key, value in positions.items():
        name = next((name for low, high, name in edges if low <= value < high), rest)
        if name is not None:
            part_of[key] = name
    return part_of


def _by_count(examples: Sequence[Example], positions: Mapping[str, float], sizes: Sizes) -> dict[str, str]:
    num_examples: dict[str, int] = {}
    for example in examples:
        num_examples[example.group] = num_examples.get(example.group, 0) + 1
    ordered = iter(sorted(positions, key=lambda key: (positions[key], key)))
    part_of: dict[str, str] = {}
    for name, size in sizes.items():
        if isinstance(size, str):
            continue
        num_taken = 0
        while num_taken < size:
            key = next(ordered, None)
            if key is None:
                raise ConfigError(f"parts: {name} needs {size} examples, but only {num_taken} are left; lower it")
            part_of[key] = name
            num_taken += num_examples[key]
    rest = next((name for name, size in sizes.items() if size == REST), None)
    if rest is not None:
        part_of.update(dict.fromkeys(ordered, rest))
    return part_of
