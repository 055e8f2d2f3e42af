"""The bijection between the unit cube and the (bounded) simplex, and projections onto grids and supports.

A point is built by breaking a stick. Without bounds, part k takes a Beta(1, K-1-k) share of what the parts
before it left, which makes the uniform law on the cube the flat Dirichlet law on the simplex (Devroye 1986,
Non-Uniform Random Variate Generation, ch. XI.4). With bounds the same law is cut to the range that leaves the
later parts feasible. All lengths are measured above the lower bounds. The coordinate is the survival function
of the taken share, not the distribution function: near a corner it is as small as 1e-279 for 32 parts, which a
float holds, while one minus it would round to 1 and lose the later shares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

TOLERANCE = 1e-9


def from_cube(cube: Sequence[float], low: Vector, high: Vector) -> Vector:
    """Shares [K] of a point [K-1] of the unit cube; they sum to 1 and stay within `low` and `high`."""
    size = len(low)
    room = high - low
    later = _suffix_sums(room)
    shares = np.array(low, dtype=float)
    rest = 1.0 - float(low.sum())
    for k in range(size - 1):
        power = size - 1 - k
        kept_most, kept_least = _survival_range(rest, room[k], later[k + 1], power)
        kept = kept_least + min(max(cube[k], 0.0), 1.0) * (kept_most - kept_least)
        if kept <= 0.0 or rest <= 0.0:
            taken, remaining = rest, 0.0
        else:
            fraction_log = math.log(kept) / power
            taken, remaining = -math.expm1(fraction_log) * rest, math.exp(fraction_log) * rest
        taken = min(max(taken, rest - later[k + 1], 0.0), room[k])
        shares[k] = min(low[k] + taken, high[k])
        rest = remaining if remaining <= later[k + 1] else later[k + 1]
    shares[-1] = min(low[-1] + rest, high[-1])
    return shares


def to_cube(shares: Sequence[float], low: Vector, high: Vector) -> tuple[float, ...]:
    """The point [K-1] of the unit cube that `from_cube` sends to `shares` [K].

    Where the earlier parts leave nothing to choose, the coordinate is 0.5.
    """
    size = len(low)
    room = high - low
    later = _suffix_sums(room)
    above = np.maximum(np.asarray(shares, dtype=float) - low, 0.0)
    rests = _suffix_sums(above)
    cube = []
    for k in range(size - 1):
        power = size - 1 - k
        rest = float(rests[k])
        kept_most, kept_least = _survival_range(rest, room[k], later[k + 1], power)
        if rest <= 0.0 or kept_most - kept_least <= 0.0:
            cube.append(0.5)
            continue
        kept = (float(rests[k + 1]) / rest) ** power
        cube.append(min(max((kept - kept_least) / (kept_most - kept_least), 0.0), 1.0))
    return tuple(cube)


def project_presence(shares: Vector, threshold: float, low: Vector, high: Vector) -> Vector:
    """Set shares under `threshold` to zero where bounds allow it, and spread what they held. Idempotent.

    One share goes at a time, the smallest first, so that a spread may lift the next one over the threshold.
    """
    present = np.ones(len(shares), dtype=bool)
    current = shares.copy()
    while True:
        candidates = [k for k in np.flatnonzero(present) if low[k] <= 0.0 and current[k] < threshold - TOLERANCE]
        candidates = [k for k in candidates if high[present].sum() - high[k] >= 1.0 - TOLERANCE]
        if not candidates:
            return current
        present[min(candidates, key=lambda k: (current[k], k))] = False
        current = _fill(np.where(present, current, 0.0), np.where(present, low, 0.0), np.where(present, high, 0.0))


def project_grid(shares: Vector, parts: int, low: Vector, high: Vector) -> Vector:
    """The nearest multiples of 1/parts that sum to 1 within the bounds (largest remainder). Idempotent.

    Args:
        parts: how many equal parts the whole is cut into.
    """
    floor = np.ceil(low * parts - TOLERANCE).astype(int)
    ceiling = np.floor(high * parts + TOLERANCE).astype(int)
    scaled = shares * parts
    counts = np.clip(np.floor(scaled + TOLERANCE).astype(int), floor, ceiling)
    while counts.sum() != parts:
        step = 1 if counts.sum() < parts else -1
        allowed = np.flatnonzero(counts < ceiling if step > 0 else counts > floor)
        counts[max(allowed, key=lambda k: (step * (scaled[k] - counts[k]), -k))] += step
    return counts / parts


def _survival_range(rest: float, room: float, later: float, power: int) -> tuple[float, float]:
    """Survival (1 - t)^power at the least and at the greatest fraction t of `rest` that a part may take."""
    if rest <= 0.0:
        return 1.0, 1.0
    kept_most = min(later / rest, 1.0) ** power
    kept_least = max(1.0 - room / rest, 0.0) ** power
    return kept_most, min(kept_least, kept_most)


def _suffix_sums(values: Vector) -> Vector:
    """[K+1] sums of values[k:], added from the end so that small tails keep their precision."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])


def _fill(shares: Vector, low: Vector, high: Vector) -> Vector:
    """Scale shares in proportion until they sum to 1, holding each at its upper bound once it is reached."""
    result = shares.copy()
    free = high > 0.0
    while True:
        missing = 1.0 - result.sum()
        weights = np.where(free & (result < high), np.maximum(result, 1e-12), 0.0)
        if missing <= TOLERANCE**2 or weights.sum() <= 0.0:
            return result
        grown = np.minimum(result + missing * weights / weights.sum(), high)
        if np.all(grown < high) or np.array_equal(grown, result):
            return grown
        result = grown
