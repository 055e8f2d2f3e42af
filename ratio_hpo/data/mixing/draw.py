"""Draws with exact proportions at every prefix: a Huffman tree of two-way draws over integer shares.

Of the c draws that a node has received, the heavier child has floor(c * w_heavy / w + 1/2) and the lighter one the
rest. Each node has an error of at most one half. Smaller shares are deeper in the tree, and errors shrink on the way
down, so every prefix count is within 2 of n x share. The tree has no state: counting the draws of any source after any
number of draws takes one walk down the tree.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.errors import ConfigError

WHOLE = 2**30
"""Sum of the integer shares. Counts up to 2**31 can be multiplied by it within 64 bits."""

MAX_DRAWS = 2**31

Counts = NDArray[np.int64]


def integer_shares(shares: Mapping[str, float]) -> dict[str, int]:
    """Convert shares that sum to 1 to integers that sum to `WHOLE` (largest remainder, ties by name), omitting zeros.

    Raises:
        ConfigError: if a share is negative or not finite, or if the shares do not sum to 1.
    """
    for name, share in shares.items():
        if not 0.0 <= share <= 1.0 + 1e-6:
            raise ConfigError(f"shares must be in [0, 1], but {name} has {share}; correct it")
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
    """A deterministic draw over sources.

    Args:
        weights: integer share of each source; they sum to `WHOLE`.
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
        """Return how many of the first `draws` draws each source received."""
        result: dict[str, int] = {}
        pending = [(self._root, draws)]
        while pending:
            node, count = pending.pop()
            if node[3] is None:
                result[self.sources[node[2]]] = count
                continue
            heavy, light = node[3]  # type: ignore[misc]
            upper = (2 * count * heavy[0] + node[0]) // (2 * node[0])
            pending += [(heavy, upper), (light, count - upper)]
        return result

    def draw(self, start: int, stop: int) -> tuple[NDArray[np.int32], Counts]:
        """Return draws start..stop-1: index into `sources` [n] and number of earlier draws of the source [n].

        Raises:
            ValueError: if a position is beyond 2**31.
        """
        if not 0 <= start <= stop <= MAX_DRAWS:
            raise ValueError(
                f"draws need 0 <= start <= stop <= {MAX_DRAWS}, but got {start}..{stop}; correct the range"
            )
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
