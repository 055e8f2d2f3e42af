"""Exact proportions at every prefix: a Huffman tree of two-way draws over integer shares.

At a node that has received c draws, the heavier child has got floor(c * w_heavy / w + 1/2) of them and the
lighter one the rest. Each node errs by at most one half; a share sits deeper the smaller it is, so the errors
that reach a leaf shrink on the way: every prefix count stays within 2 of n x share. There is no state, so the
count of any source after any number of draws costs one walk down the tree.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.errors import ConfigError

WHOLE = 2**30
"""Integer shares sum to this. Counts up to 2**31 then multiply by it within 64 bits."""

MAX_DRAWS = 2**31

Counts = NDArray[np.int64]


def integer_shares(shares: Mapping[str, float]) -> dict[str, int]:
    """Shares >= 0 that sum to 1, as integers that sum to `WHOLE` (largest remainder, ties by name); zeros left out.

    Raises:
        ConfigError: a negative or non-finite share, or a sum away from 1.
    """
    for name, share in shares.items():
        if not 0.0 <= share <= 1.0 + 1e-6:
            raise ConfigError(f"shares need values in [0, 1], but {name} has {share}; correct it")
    total = sum(shares.values())
    if abs(total - 1.0) > 1e-6:
        raise ConfigError(f"shares must sum to 1, but sum to {total:.9g}; rescale them")
    exact = {name: share / total * WHOLE for name, share in shares.items() if share > 0.0}
    whole = {name: int(value) for name, value in exact.items()}
    missing = WHOLE - sum(whole.values())
    for name in sorted(exact, key=lambda key: (whole[key] - exact[key], key))[:missing]:
        whole[name] += 1
    return {name: whole[name] for name in sorted(whole) if whole[name] > 0}


class DrawTree:
    """The draw over sources.

    Args:
        weights: integer share of each source, summing to `WHOLE`.
    """

    sources: list[str]

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.sources = sorted(weights)
        index = {name: k for k, name in enumerate(self.sources)}
        heap: list[tuple[int, str, int, object]] = [
            (weight, name, index[name], None) for name, weight in sorted(weights.items())
        ]
        heapq.heapify(heap)
        while len(heap) > 1:
            light = heapq.heappop(heap)
            heavy = heapq.heappop(heap)
            first = min(light[1], heavy[1])
            heapq.heappush(heap, (light[0] + heavy[0], first, -1, (heavy, light)))
        self._root = heap[0]

    def counts(self, draws: int) -> dict[str, int]:
        """How many of the first `draws` draws each source got."""
        result: dict[str, int] = {}
        pending = [(self._root, draws)]
        while pending:
            node, count = pending.pop()
            if node[3] is None:
                result[self.sources[node[2]]] = count
                continue
            heavy, light = node[3]  # type: ignore[misc]
            upper = _heavy_count(count, heavy[0], node[0])
            pending += [(heavy, upper), (light, count - upper)]
        return result

    def draw(self, start: int, stop: int) -> tuple[NDArray[np.int32], Counts]:
        """Draws start..stop-1: index into `sources` [n], and how often that source was drawn before [n].

        Raises:
            ValueError: a position beyond 2**31.
        """
        if not 0 <= start <= stop <= MAX_DRAWS:
            raise ValueError(f"draws need 0 <= start <= stop <= {MAX_DRAWS}, but got {start}..{stop}")
        number = stop - start
        source = np.empty(number, dtype=np.int32)
        before = np.empty(number, dtype=np.int64)
        pending = [(self._root, start, np.arange(number))]
        while pending:
            node, first, where = pending.pop()
            if node[3] is None:
                source[where] = node[2]
                before[where] = first + np.arange(len(where))
                continue
            heavy, light = node[3]  # type: ignore[misc]
            edges = np.arange(first, first + len(where) + 1, dtype=np.int64)
            upper = (2 * edges * heavy[0] + node[0]) // (2 * node[0])
            takes = upper[1:] > upper[:-1]
            pending.append((heavy, int(upper[0]), where[takes]))
            pending.append((light, first - int(upper[0]), where[~takes]))
        return source, before


def _heavy_count(count: int, heavy: int, whole: int) -> int:
    return (2 * count * heavy + whole) // (2 * whole)
