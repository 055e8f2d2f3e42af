"""Cost to target, area over the curve, the front and its hypervolume, as defined in docs/explanation/semantics.md.

A curve is a sequence of (attributed cost, score) in order of cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Curve = Sequence[tuple[float, float]]


def cost_to_target(curve: Curve, target: float) -> float:
    """Return the cost at which the running maximum of the score, linear between evaluations, first reaches `target`.

    The curve starts at score 0 and cost 0. Return infinity if it never reaches the target: the trial is censored.

    Examples:
        >>> cost_to_target([(100, 0.4), (200, 0.6)], 0.5)
        150.0
    """
    cost, best = 0.0, 0.0
    if target <= 0.0:
        return 0.0
    for next_cost, value in curve:
        if value >= target:
            return min(cost + (next_cost - cost) * (target - best) / (value - best), next_cost)  # rounding
        cost, best = next_cost, max(best, value)
    return math.inf


def area_over_curve(curve: Curve, largest_cost: float) -> float:
    """Return the mean of 1 - score over costs from 0 to `largest_cost`, by the trapezoidal rule.

    The score is 0 at cost 0 and keeps its last value to the end; a segment beyond `largest_cost` is cut off there.

    Raises:
        ValueError: if `largest_cost` is not positive.

    Examples:
        >>> area_over_curve([(100, 0.5)], 200)
        0.625
    """
    if largest_cost <= 0.0:
        raise ValueError(f"area_over_curve needs largest_cost > 0, but got {largest_cost}; raise it")
    area, cost, last = 0.0, 0.0, 0.0
    for next_cost, value in curve:
        if next_cost >= largest_cost:
            reached = last + (value - last) * (largest_cost - cost) / (next_cost - cost)
            return (area + (largest_cost - cost) * (2.0 - last - reached) / 2) / largest_cost
        area += (next_cost - cost) * (2.0 - last - value) / 2
        cost, last = next_cost, value
    return (area + (largest_cost - cost) * (1.0 - last)) / largest_cost


def anytime_front(points: Iterable[tuple[float, float]]) -> list[int]:
    """Return the indices of the points (cost, score) that no other point dominates, by increasing cost.

    Of equal points, the first one is kept. A point with the same score at a higher cost is dominated.

    Examples:
        >>> anytime_front([(200, 0.5), (100, 0.4), (300, 0.5), (150, 0.3)])
        [1, 0]
    """
    listed = list(points)
    front: list[int] = []
    best = -math.inf
    for index in sorted(range(len(listed)), key=lambda k: (listed[k][0], -listed[k][1], k)):
        if listed[index][1] > best:
            front.append(index)
            best = listed[index][1]
    return front


def hypervolume(points: Iterable[tuple[float, float]], largest_cost: float) -> float:
    """Return the fraction of the rectangle [0, largest_cost] x [0, 1] that the points dominate, in [0, 1].

    The reference point is (largest_cost, 0). A point dominates every higher cost combined with a lower score.

    Raises:
        ValueError: if `largest_cost` is not positive.

    Examples:
        >>> hypervolume([(100, 0.5)], 200)
        0.25
    """
    if largest_cost <= 0.0:
        raise ValueError(f"hypervolume needs largest_cost > 0, but got {largest_cost}; raise it")
    inside = [point for point in points if point[0] < largest_cost]
    front = [inside[k] for k in anytime_front(inside)]
    area = 0.0
    ends = [*(cost for cost, _ in front), largest_cost][1:]
    for (cost, value), end in zip(front, ends, strict=True):
        area += (end - cost) * max(value, 0.0)
    return area / largest_cost


Sums = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Numerator and denominator for each item [items]."""


def ratio(sums: Sums) -> float:
    """Return the ratio of the sums; 0 if the denominators sum to 0.

    Examples:
        >>> ratio((np.array([1.0, 1.0]), np.array([1.0, 3.0])))
        0.5
    """
    below = float(sums[1].sum())
    return float(sums[0].sum()) / below if below else 0.0


def left_out(sums: Sums) -> NDArray[np.float64]:
    """Return the ratio without each item in turn [items].

    Examples:
        >>> left_out((np.array([1.0, 0.0]), np.ones(2))).tolist()
        [0.0, 1.0]
    """
    above, below = sums[0].sum() - sums[0], sums[1].sum() - sums[1]
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def variance(sums: Sums, other: Sums | None = None) -> float:
    """Return the jackknife variance of a ratio, or of its difference from another ratio over the same items.

    With a single item, return the largest variance that a score in [0, 1] can have, 1/4, or 1 for a difference.

    Examples:
        >>> variance((np.array([0.0, 1.0]), np.ones(2)))
        0.25
    """
    n = len(sums[0])
    if n < 2:
        return 0.25 if other is None else 1.0
    leave_one_out = left_out(sums) if other is None else left_out(sums) - left_out(other)
    return float((n - 1) / n * ((leave_one_out - leave_one_out.mean()) ** 2).sum())


def standard_error(by_language: Sequence[Sums]) -> float:
    """Return the standard error of the unweighted mean over languages, whose items are independent.

    Examples:
        >>> round(standard_error([(np.array([0.0, 1.0]), np.ones(2))]), 3)
        0.5
    """
    return math.sqrt(sum(variance(sums) for sums in by_language)) / len(by_language)


def paired_error(ours: Sums, theirs: Sums) -> float:
    """Return the standard error of the difference of two ratios over the same items.

    Examples:
        >>> paired_error((np.array([1.0, 1.0]), np.ones(2)), (np.array([0.0, 0.0]), np.ones(2)))
        0.0
    """
    return math.sqrt(variance(ours, theirs))
