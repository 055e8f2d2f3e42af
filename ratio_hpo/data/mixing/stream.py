"""The stream of examples: segments of draws, caps on repeats, and keyed permutations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.mixing.draw import MAX_DRAWS, DrawTree, integer_shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """The sources of a stream and their shares.

    Attributes:
        shares: share of windows, by source; they sum to 1.
        sizes: number of windows of each source.
        reference: sources of the reference language; they take over when all other sources are capped.
        max_epochs: maximum number of epochs over a source; None for no cap.
        auxiliary: sources of text that is masked anew at every draw; the cap does not apply to them.
    """

    shares: Mapping[str, float]
    sizes: Mapping[str, int]
    reference: frozenset[str] = frozenset()
    max_epochs: float | None = None
    auxiliary: frozenset[str] = frozenset()

    def identity(self) -> dict[str, object]:
        """Return a stable form for fingerprints: integer shares, sizes of the sources in use, and the cap."""
        return {
            "shares": integer_shares(self.shares),
            "sizes": {name: self.sizes[name] for name in sorted(self.sizes) if self.shares.get(name, 0.0) > 0.0},
            "max_epochs": self.max_epochs,
            "reference": sorted(self.reference) if self.max_epochs is not None else [],
        }


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of draws with fixed shares.

    Attributes:
        start: position of its first draw.
        tree: the draw over sources.
        drawn: number of earlier draws of each source.
        capped: sources that reached their cap at `start`.
    """

    start: int
    tree: DrawTree
    drawn: Mapping[str, int]
    capped: tuple[str, ...] = ()


class MixtureStream:
    """A stream of examples with random access by position.

    Args:
        mixture: the sources and their shares; every source with a share needs at least one window.
        seed: seed of the permutations; the order of sources does not depend on it.

    Raises:
        ValueError: if a source has a share but no windows.
    """

    mixture: Mixture
    seed: int
    sources: list[str]

    def __init__(self, mixture: Mixture, seed: int) -> None:
        for name, share in mixture.shares.items():
            if share > 0.0 and mixture.sizes.get(name, 0) < 1:
                raise ValueError(f"source {name} has share {share:g} but holds no window; remove it or add data")
        self.mixture, self.seed = mixture, seed
        self.sources = sorted(mixture.sizes)
        self._segments = list(_segments(mixture))

    def take(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return draws start..stop-1: the index into `sources` [n] and the index of the window in that source [n]."""
        sources, examples = [], []
        for segment, end in zip(self._segments, [*(s.start for s in self._segments[1:]), MAX_DRAWS], strict=True):
            first, last = max(start, segment.start), min(stop, end)
            if first >= last:
                continue
            local, before = segment.tree.draw(first - segment.start, last - segment.start)
            index = np.array([self.sources.index(name) for name in segment.tree.sources], dtype=np.int32)
            offset = np.array([segment.drawn.get(name, 0) for name in segment.tree.sources], dtype=np.int64)
            sources.append(index[local])
            examples.append(before + offset[local])
        if not sources:
            return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
        source, nth = np.concatenate(sources), np.concatenate(examples)
        return source, self._permuted(source, nth)

    def counts(self, draws: int) -> dict[str, int]:
        """Return how many of the first `draws` windows come from each source."""
        segment = next(s for s in reversed(self._segments) if s.start <= draws)
        total = dict.fromkeys(self.sources, 0) | dict(segment.drawn)
        for name, count in segment.tree.counts(draws - segment.start).items():
            total[name] += count
        return total

    def caps(self, draws: int) -> dict[str, int]:
        """Return the position at which each source reached `max_epochs`, for sources that did within `draws`."""
        return {name: s.start for s in self._segments if s.start < draws for name in s.capped}

    def _permuted(self, source: NDArray[np.int32], nth: NDArray[np.int64]) -> NDArray[np.int64]:
        result = np.empty(len(nth), dtype=np.int64)
        for k in np.unique(source):
            name = self.sources[k]
            size = self.mixture.sizes[name]
            where = np.flatnonzero(source == k)
            epochs, positions = np.divmod(nth[where], size)
            for epoch in np.unique(epochs):
                chosen = epochs == epoch
                result[where[chosen]] = _permutation(self.seed, name, int(epoch), size)[positions[chosen]]
        return result


@lru_cache(maxsize=64)
def _permutation(seed: int, source: str, epoch: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng(integer_hash("permutation", seed, source, epoch)).permutation(size)


def _segments(mixture: Mixture) -> Iterator[Segment]:
    """Yield the segments of the draw; a new segment begins where a source reaches its cap."""
    shares = {name: share for name, share in mixture.shares.items() if share > 0.0}
    drawn: dict[str, int] = dict.fromkeys(mixture.sizes, 0)
    segment = Segment(0, DrawTree(integer_shares(shares)), dict(drawn))
    if mixture.max_epochs is None:
        yield segment
        return
    limit = {
        name: MAX_DRAWS if name in mixture.auxiliary else max(1, int(mixture.max_epochs * size))
        for name, size in mixture.sizes.items()
    }
    while True:
        yield segment
        ends = {name: _reaches(segment.tree, name, limit[name] - drawn[name]) for name in segment.tree.sources}
        length = min(ends.values())
        if segment.start + length >= MAX_DRAWS:
            return
        for name, count in segment.tree.counts(length).items():
            drawn[name] += count
        capped = tuple(name for name in segment.tree.sources if drawn[name] >= limit[name])
        shares = _redistribute(shares, capped, mixture, drawn, limit)
        if not shares:  # all sources are capped: the last shares continue, and `caps` reports the position
            yield Segment(segment.start + length, segment.tree, dict(drawn), capped)
            return
        segment = Segment(segment.start + length, DrawTree(integer_shares(shares)), dict(drawn), capped)


def _redistribute(
    shares: dict[str, float],
    full: tuple[str, ...],
    mixture: Mixture,
    drawn: Mapping[str, int],
    limit: Mapping[str, int],
) -> dict[str, float]:
    """Move the shares of capped sources to the other non-reference sources in proportion, then to the reference."""
    remaining = {name: share for name, share in shares.items() if name not in full}
    freed = 1.0 - sum(remaining.values())
    labelled = {name: share for name, share in remaining.items() if name not in mixture.auxiliary}
    others = {name: share for name, share in labelled.items() if name not in mixture.reference}
    reference = {name: share for name, share in labelled.items() if name in mixture.reference}
    if not others and not reference:
        open_reference = [n for n in sorted(mixture.reference) if mixture.sizes[n] and drawn[n] < limit[n]]
        if not open_reference:
            return {}
        return remaining | {name: freed / len(open_reference) for name in open_reference}
    takers = others or reference
    total = sum(takers.values())
    return {name: share + (freed * share / total if name in takers else 0.0) for name, share in remaining.items()}


def _reaches(tree: DrawTree, source: str, count: int) -> int:
    """Return the smallest number of draws after which `source` has been drawn `count` times."""
    low, high = 0, MAX_DRAWS
    while low < high:
        middle = (low + high) // 2
        if tree.counts(middle)[source] >= count:
            high = middle
        else:
            low = middle + 1
    return low


CHUNK = 4096
"""Minimum number of draws that are computed at once."""

Draws = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Index into a stream's sources [n], and index of the example within that source [n]."""


def draws_of(
    stream: MixtureStream, reader: int, readers: int, start: int, stop: int, *, batch_size: int
) -> Iterator[Draws]:
    """Yield the draws of one of several readers of a stream.

    An even mixture is periodic, so positions r, r + R, … could give each reader a single source. Therefore each global
    batch of `batch_size` x `readers` draws is permuted by (seed, batch) and divided source by source: the counts of a
    source differ by at most one between readers. Each reader takes its draws in the order of the stream.

    Args:
        stream: the stream to read.
        reader: number of the reader, from 0.
        readers: number of readers.
        start: number of draws that all readers together consumed before; a multiple of `readers`.
        stop: position after the last draw; a multiple of `readers`.
        batch_size: batch size of each reader.
    """
    block = batch_size * readers
    draws_at_once = max(1, CHUNK // block) * block
    for first in range(start // block * block, stop, draws_at_once):
        last = min(first + draws_at_once, stop)
        source, index = stream.take(first, last)
        parts = []
        for begin in range(first, last, block):
            end = min(begin + block, last)
            positions = _positions_of_reader(
                source[begin - first : end - first], reader, readers, stream.seed, begin // block
            )
            parts.append(begin - first + positions[max(start - begin, 0) // readers :])
        chosen = np.concatenate(parts)
        yield source[chosen], index[chosen]


def _positions_of_reader(
    source: NDArray[np.int32], reader: int, readers: int, seed: int, batch: int
) -> NDArray[np.int64]:
    """Return the positions of a global batch that belong to a reader, in increasing order."""
    if readers == 1:
        return np.arange(len(source))
    rng = np.random.default_rng(integer_hash("readers", seed, batch))
    order = rng.permutation(len(source))
    by_source = order[np.argsort(source[order], kind="stable")]
    return np.sort(by_source[(reader + int(rng.integers(readers))) % readers :: readers])
