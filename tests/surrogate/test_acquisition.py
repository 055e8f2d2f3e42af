from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratio_hpo.metrics.convergence import hypervolume
from ratio_hpo.surrogate.acquisition import HORIZON, Curves, FrontGain, stacked
from ratio_hpo.surrogate.model import Posterior

COSTS = st.lists(st.integers(1, 20), min_size=1, max_size=6, unique=True)
SCORES = st.floats(0.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), costs=COSTS, new=COSTS)
def test_a_curve_that_is_known_adds_the_area_that_it_adds(
    data: st.DataObject, costs: list[int], new: list[int]
) -> None:
    scores = [data.draw(SCORES) for _ in costs]
    curve = [(float(cost), data.draw(SCORES)) for cost in sorted(new)]
    front = FrontGain(np.array(costs, dtype=float), np.array(scores), largest=20.0)
    places = np.array([[cost for cost, _ in curve]]), np.array([[score for _, score in curve]])
    gain = front.expected(Curves(*places, np.ones_like(places[0]), np.zeros_like(places[0])))[0]
    known = [(float(cost), score) for cost, score in zip(costs, scores, strict=True)]
    end = HORIZON * 20.0
    added = (hypervolume([*known, *curve], end) - hypervolume(known, end)) * end
    assert gain == pytest.approx(added, abs=1e-9)


def test_doubt_is_worth_something_where_the_mean_is_not() -> None:
    front = FrontGain(np.array([1.0]), np.array([0.5]), largest=2.0)
    costs, means = np.array([[2.0], [2.0]]), np.array([[0.4], [0.4]])
    headroom, end = np.full((2, 1), 0.3), HORIZON * 2.0
    sure, doubtful = front.expected(Curves(costs, means, headroom, np.array([[0.0], [1.0]])))
    assert sure == 0.0
    assert 0.01 < doubtful < (0.7 - 0.5) * (end - 2.0)  # limited by the ceiling


def test_the_chance_to_join_is_that_of_the_best_placed_point() -> None:
    front = FrontGain(np.array([1.0, 3.0]), np.array([0.5, 0.8]), largest=4.0)
    curves = Curves(*(np.array([pair]) for pair in ([2.0, 4.0], [0.5, 0.5], [0.4, 0.4], [0.1, 0.1])))
    assert front.joins(curves)[0] == pytest.approx(0.5)  # equal to the front at cost 2, far below it at cost 4
    assert FrontGain(np.array([1.0]), np.array([0.95]), largest=4.0).joins(curves)[0] == 0.0  # front above the ceiling


def test_shorter_curves_repeat_their_end() -> None:
    told = Posterior(*(np.zeros((3, 1)),) * 2, *(np.zeros(3),) * 5)
    curves = stacked(np.arange(3.0), told, [1, 2])
    assert curves.costs.tolist() == [[0.0, 0.0], [1.0, 2.0]]
