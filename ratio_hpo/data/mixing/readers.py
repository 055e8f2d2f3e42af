"""How several readers share one stream: each sees every source in its share, together they read what one would."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.mixing.stream import MixtureStream

CHUNK = 4096
"""Draws that are worked out at once, at least."""

Draws = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Index into a stream's sources [n], and index of the example within that source [n]."""


def draws_of(
    stream: MixtureStream, reader: int, readers: int, start: int, stop: int, *, batch_size: int
) -> Iterator[Draws]:
    """What one of several readers takes of a stream.

    Positions r, r + R, … of a stream that is periodic, as an even mixture is, would give each reader one source. So
    each global batch of `batch_size` x `readers` draws is permuted by (seed, batch) before it is dealt out, source by
    source: of each source two readers get equally many, give or take one. Each takes its part in the stream's order.

    Args:
        reader: number of the reader, from 0.
        start: draws that all readers together consumed before, a multiple of `readers`.
        stop: the position after the last one, a multiple of `readers`.
        batch_size: of each reader.
    """
    block = batch_size * readers
    many = max(1, CHUNK // block) * block
    for first in range(start // block * block, stop, many):
        last = min(first + many, stop)
        source, index = stream.take(first, last)
        parts = []
        for begin in range(first, last, block):
            end = min(begin + block, last)
            mine = _dealt(source[begin - first : end - first], reader, readers, stream.seed, begin // block)
            parts.append(begin - first + mine[max(start - begin, 0) // readers :])
        chosen = np.concatenate(parts)
        yield source[chosen], index[chosen]


def _dealt(source: NDArray[np.int32], reader: int, readers: int, seed: int, batch: int) -> NDArray[np.int64]:
    """The places in a global batch that a reader gets, rising."""
    if readers == 1:
        return np.arange(len(source))
    rng = np.random.default_rng(integer_hash("readers", seed, batch))
    order = rng.permutation(len(source))
    by_source = order[np.argsort(source[order], kind="stable")]
    return np.sort(by_source[(reader + int(rng.integers(readers))) % readers :: readers])
