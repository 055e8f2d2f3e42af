"""Parts of a corpus, cut by group: deterministic, disjoint, the same for parallel languages."""

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
    """Refuse sizes that cannot be cut.

    Raises:
        ValueError: not all fractions or all counts, a sum over 1, two rests, or counts of parallel languages.
    """
    plain = [size for size in sizes.values() if size != REST]
    if sum(size == REST for size in sizes.values()) > 1:
        raise ValueError("parts need at most one `rest`; give the others a size")
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
    """The parts of a corpus, each in the corpus's order; a group (a passage, a premise) is in one part alone.

    Fractions place each group by a hash of its key, so that a group is in the same part whatever else the
    corpus holds, in every language. Numbers of examples fill parts group by group in the order of that hash. What is
    only there to be found is in none.

    Raises:
        ConfigError: more examples asked for than there are.
    """
    if not sizes:
        return {WHOLE: list(examples)}
    examples = [example for example in examples if example.is_asked]
    place = {key: unit_hash("split", seed, key) for key in {e.group for e in examples}}
    if any(isinstance(size, float) or size == 1 for size in sizes.values()):
        owner = _by_fraction(place, sizes)
    else:
        owner = _by_count(examples, place, sizes)
    parts: dict[str, list[E]] = {name: [] for name in sizes}
    for example in examples:
        name = owner.get(example.group)
        if name is not None:
            parts[name].append(example)
    return parts


def _by_fraction(place: Mapping[str, float], sizes: Sizes) -> dict[str, str]:
    edges, edge = [], 0.0
    for name, size in sizes.items():
        if not isinstance(size, str):
            edges.append((edge, edge + size, name))
            edge += size
    rest = next((name for name, size in sizes.items() if size == REST), None)
    owner = {}
    for key, value in place.items():
        name = next((name for low, high, name in edges if low <= value < high), rest)
        if name is not None:
            owner[key] = name
    return owner


def _by_count(examples: Sequence[Example], place: Mapping[str, float], sizes: Sizes) -> dict[str, str]:
    number: dict[str, int] = {}
    for example in examples:
        number[example.group] = number.get(example.group, 0) + 1
    ordered = iter(sorted(place, key=lambda key: (place[key], key)))
    owner: dict[str, str] = {}
    for name, size in sizes.items():
        if isinstance(size, str):
            continue
        got = 0
        while got < size:
            key = next(ordered, None)
            if key is None:
                raise ConfigError(f"parts: {name} needs {size} examples, but only {got} are left; lower it")
            owner[key] = name
            got += number[key]
    rest = next((name for name, size in sizes.items() if size == REST), None)
    if rest is not None:
        owner.update(dict.fromkeys(ordered, rest))
    return owner
