"""Split one stream among several readers: each reader sees every source in its share, and none is read twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.mixing.stream import MixtureStream

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
