from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.metrics.convergence import anytime_front, area_over_curve, cost_to_target, hypervolume

point = st.tuples(st.floats(1, 100), st.floats(0, 1))
curves = st.lists(point, min_size=1, max_size=8, unique_by=lambda p: p[0]).map(sorted)


def test_cost_to_target_is_linear_between_evaluations() -> None:
    curve = [(100.0, 0.4), (200.0, 0.6)]
    assert cost_to_target(curve, 0.5) == pytest.approx(150.0)
    assert cost_to_target(curve, 0.2) == pytest.approx(50.0)
    assert cost_to_target(curve, 0.7) == math.inf


def test_the_running_maximum_counts() -> None:
    assert cost_to_target([(100.0, 0.5), (200.0, 0.1), (300.0, 0.6)], 0.55) == pytest.approx(250.0)


@given(curves, st.floats(0.01, 1))
def test_cost_to_target_lies_on_the_running_maximum(curve: list[tuple[float, float]], target: float) -> None:
    cost = cost_to_target(curve, target)
    reached = [c for c, value in curve if value >= target]
    assert (cost == math.inf) == (not reached)
    if reached:
        assert cost <= reached[0]
        assert all(c <= cost for c, value in curve if c < reached[0])


@given(curves, st.floats(101, 300))
def test_area_equals_numerical_integration(curve: list[tuple[float, float]], largest: float) -> None:
    costs = [0.0, *(c for c, _ in curve), largest]
    values = [0.0, *(v for _, v in curve), curve[-1][1]]
    grid = np.union1d(np.linspace(0, largest, 2001), costs)
    expected = np.trapezoid(1 - np.interp(grid, costs, values), grid) / largest
    assert area_over_curve(curve, largest) == pytest.approx(expected, abs=1e-6)


def test_area_stops_at_the_largest_cost() -> None:
    assert area_over_curve([(200.0, 1.0)], 100.0) == pytest.approx(0.75)


@given(st.lists(point, max_size=30))
def test_no_point_beats_a_member_of_the_front(points: list[tuple[float, float]]) -> None:
    front = [points[k] for k in anytime_front(points)]
    assert front == sorted(front)
    for cost, value in front:
        assert not any(c < cost and v > value for c, v in points)
    for cost, value in points:
        assert any(c <= cost and v >= value for c, v in front)


@given(st.lists(point, max_size=12), point)
def test_hypervolume_equals_counting_and_never_falls(
    points: list[tuple[float, float]], extra: tuple[float, float]
) -> None:
    grid = np.linspace(0, 100, 2001)
    best = [max((v for c, v in points if c <= at), default=0.0) for at in grid[:-1]]
    assert hypervolume(points, 100.0) == pytest.approx(np.mean(best), abs=0.02)
    assert hypervolume([*points, extra], 100.0) >= hypervolume(points, 100.0) - 1e-12


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(100.0, 0.5)], 0.25),
        ([(100.0, 0.5), (300.0, 0.9)], 0.25),  # beyond the largest cost
        ([(300.0, 0.9)], 0.0),
        ([(200.0, 0.9)], 0.0),  # exactly at the largest cost
        ([(0.0, 0.1), (50.0, 0.5), (150.0, 0.8)], 0.1 * 0.25 + 0.5 * 0.5 + 0.8 * 0.25),
        ([(50.0, -0.5), (100.0, 0.5)], 0.25),
    ],
)
def test_the_hypervolume_up_to_a_cost_of_200(points: list[tuple[float, float]], expected: float) -> None:
    assert hypervolume(points, 200.0) == pytest.approx(expected)
