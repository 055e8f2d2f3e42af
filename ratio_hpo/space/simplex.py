"""The bijection between the unit cube and the (bounded) simplex, and projections onto grids and supports.

The uniform distribution on the cube maps to the uniform distribution on the simplex (the flat Dirichlet distribution,
truncated to the bounds), for any order of the parts. A point is built part by part, each from its conditional
distribution given the earlier parts (Rosenblatt 1952, "Remarks on a multivariate transformation"). Of the rest r, part
k leaves y, whose distribution follows from the volumes of the later parts:

    coordinate = (G(y) - G(least)) / (G(most) - G(least)),
    least = max(0, r - u_k),  most = min(r, sum of the upper bounds of the later parts)

Without upper bounds, G(y) = y^(K-1-k), which is stick breaking with Beta(1, K-1-k) (Devroye 1986, Non-Uniform Random
Variate Generation, ch. XI.4). All lengths are measured above the lower bounds. The coordinate is the survival function
of the taken share, not its distribution function: near a corner it is as small as 1e-279 for 32 parts, which a float
can represent, while one minus it would round to 1 and lose the later shares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ratio_hpo.space.volumes import Vector, Volume, suffix_volumes

TOLERANCE = 1e-9


def from_cube(cube: Sequence[float], low: Vector, high: Vector) -> Vector:
    """Return the shares [K] at a point [K-1] of the unit cube; they sum to 1 and are within `low` and `high`.

    Examples:
        >>> from_cube([0.25, 0.5], np.zeros(3), np.ones(3)).tolist()
        [0.5, 0.25, 0.25]
    """
    size = len(low)
    room = high - low
    later = _suffix_sums(room)
    shares = np.array(low, dtype=float)
    rest = 1.0 - float(low.sum())
    volumes = _volumes(room, rest)
    for k in range(size - 1):
        cut = _Cut(volumes[k], rest, float(room[k]), float(later[k + 1]))
        remaining = cut.left_at(min(max(cube[k], 0.0), 1.0))
        shares[k] = min(low[k] + max(rest - remaining, 0.0), high[k])
        rest = remaining
    shares[-1] = min(low[-1] + rest, high[-1])
    return shares


def to_cube(shares: Sequence[float], low: Vector, high: Vector) -> tuple[float, ...]:
    """Return the point [K-1] of the unit cube that `from_cube` maps to `shares` [K].

    If the earlier parts determine a share, its coordinate is 0.5.
    """
    size = len(low)
    room = high - low
    later = _suffix_sums(room)
    above = np.maximum(np.asarray(shares, dtype=float) - low, 0.0)
    rests = _suffix_sums(above)
    volumes = _volumes(room, 1.0 - float(low.sum()))
    return tuple(
        _Cut(volumes[k], float(rests[k]), float(room[k]), float(later[k + 1])).coordinate_of(float(rests[k + 1]))
        for k in range(size - 1)
    )


class _Cut:
    """The conditional distribution of the amount that one part leaves to the later parts.

    Args:
        volume: volume of the later parts.
        rest: amount that this part and the later parts share.
        room: maximum amount of this part.
        later: maximum amount of the later parts together.
    """

    def __init__(self, volume: Volume, rest: float, room: float, later: float) -> None:
        self._volume = volume
        self.least, self.most = max(rest - room, 0.0), min(rest, later)
        self._log_least = -math.inf
        if 0.0 < self.least < self.most:
            self._log_least = volume.log_ratio(self.least, self.most)

    @property
    def is_free(self) -> bool:
        """Whether more than one amount is possible."""
        return self.most > 0.0 and self.least < self.most and self._log_least < 0.0

    def left_at(self, coordinate: float) -> float:
        """Return the amount left to the later parts at a coordinate in [0, 1]."""
        if not self.is_free:
            return self.most
        weight = math.exp(self._log_least)
        weight += coordinate * -math.expm1(self._log_least)
        if weight <= 0.0 or coordinate <= 0.0:
            return self.least
        if self._volume.curve is None or self.most <= self._volume.bend:
            return min(max(self.most * math.exp(math.log(weight) / self._volume.parts), self.least), self.most)
        return self._solve(math.log(weight))

    def coordinate_of(self, left: float) -> float:
        """Return the coordinate at which this amount is left."""
        if not self.is_free:
            return 0.5
        if left <= self.least:
            return 0.0
        log = self._volume.log_ratio(min(left, self.most), self.most)
        if self._log_least == -math.inf:
            return min(math.exp(log), 1.0)
        gained = math.exp(log) * -math.expm1(min(self._log_least - log, 0.0))
        return min(max(gained / -math.expm1(self._log_least), 0.0), 1.0)

    def _solve(self, log_weight: float) -> float:
        """Return the amount whose volume is exp(log_weight) times the volume at `most`."""
        from scipy.optimize import brentq

        volume = self._volume
        at_bend = volume.log_ratio(volume.bend, self.most)
        if log_weight <= at_bend:  # below the bend, the volume is proportional to s^n
            solution = volume.bend * math.exp((log_weight - at_bend) / volume.parts)
            return min(max(solution, self.least), self.most)

        def miss(s: float) -> float:
            return volume.log_ratio(s, self.most) - log_weight

        low = max(self.least, volume.bend)
        if miss(low) >= 0.0:
            return low
        root: Any = brentq(miss, low, self.most, xtol=1e-300, rtol=4 * np.finfo(float).eps)
        return min(float(root), self.most)


def _volumes(room: Vector, whole: float) -> Sequence[Volume]:
    """Return the volumes of the parts after each part; powers of the amount left if no bound is active."""
    size = len(room)
    if np.all(room >= whole):
        return [Volume(size - 1 - k, 0.0, math.inf) for k in range(size - 1)]
    return suffix_volumes(tuple(room.tolist()), whole)


def project_presence(shares: Vector, threshold: float, low: Vector, high: Vector) -> Vector:
    """Set shares below `threshold` to zero if the bounds allow it, and redistribute them. Idempotent.

    Shares are removed one at a time, the smallest first, since redistribution may lift another above the threshold.
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
    """Return the nearest multiples of 1/parts that sum to 1 within the bounds (largest remainder). Idempotent.

    Args:
        shares: shares to project.
        parts: number of grid intervals in [0, 1].
        low: lower bound of each share.
        high: upper bound of each share.
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


def _suffix_sums(values: Vector) -> Vector:
    """Return the sums of values[k:] [K+1], added from the end so that small tails keep their precision."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])


def _fill(shares: Vector, low: Vector, high: Vector) -> Vector:
    """Scale shares in proportion until they sum to 1, fixing each share that reaches its upper bound."""
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
