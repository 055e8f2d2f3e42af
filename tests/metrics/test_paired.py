"""Paired differences between configurations: simulations check level and power, property tests check the algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ratio_hpo.metrics.paired import LEVEL, Items, difference, holm, on_front

RUNS, MAX_FALSE = 400, 31
"""The number of simulated confirmations, and the most false claims allowed: 5 % plus its sampling error."""

NOISE = 0.01


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_alone_are_not_taken_for_a_difference(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    claims = sum(difference(NOISE * rng.standard_normal(seeds)).p < LEVEL for _ in range(RUNS))
    assert claims <= MAX_FALSE


def test_two_noise_floors_are_found_by_five_seeds() -> None:
    """The noise floor is the standard deviation of the paired difference over seeds. One comparison is made."""
    rng = np.random.default_rng(0)
    found = sum(difference(2 * NOISE + NOISE * rng.standard_normal(5)).p < LEVEL for _ in range(RUNS))
    assert found >= 0.8 * RUNS


def simulated(seeds: int, rng: np.random.Generator, *, clustered: bool, effect: float = 0.0) -> Items:
    """Simulate two configurations on 60 passages of 5 questions. Each finds other passages hard, with any seed."""
    passages, questions = 60, 5
    ease = rng.normal(0, 1, (1, 1, passages, 1))
    own = rng.normal(0, 0.7 if clustered else 0.0, (2, 1, passages, 1)) + rng.normal(
        0, 0.5, (2, 1, passages, questions)
    )
    run_effect = rng.normal(0, 0.1, (2, seeds, 1, 1)) + rng.logistic(0, 1, (2, seeds, passages, questions))
    right = ease + own + run_effect + np.array([effect, 0.0]).reshape(2, 1, 1, 1) > 0
    below = np.full((2, seeds, passages), float(questions))
    return Items(right.sum(3).astype(float), below, np.zeros(passages, dtype=np.intp), np.arange(passages))


def claimed(items: Items, draws: int = 200) -> bool:
    scores, again = items.scores()[0, :, :, 0], items.resampled(draws)[..., 0]
    return difference(scores[0] - scores[1], again[:, 0] - again[:, 1], items.num_groups).p < LEVEL


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("seeds", [2, 5])
def test_questions_that_hang_together_are_not_taken_for_a_difference(seeds: int, *, clustered: bool) -> None:
    rng = np.random.default_rng(seeds)
    assert sum(claimed(simulated(seeds, rng, clustered=clustered)) for _ in range(RUNS)) <= MAX_FALSE


def test_over_seeds_alone_such_questions_would_be() -> None:
    """Show why passages are resampled: a configuration finds the same passages hard with every seed."""
    rng, claims = np.random.default_rng(1), 0
    for _ in range(RUNS):
        scores = simulated(5, rng, clustered=True).scores()[0, :, :, 0]
        claims += difference(scores[0] - scores[1]).p < LEVEL
    assert claims > 2 * MAX_FALSE


def test_a_difference_among_questions_is_found() -> None:
    rng = np.random.default_rng(2)
    assert sum(claimed(simulated(5, rng, clustered=True, effect=1.0)) for _ in range(100)) >= 90


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8).filter(lambda values: np.std(values) > 1e-6))
def test_without_items_it_is_the_paired_t_test(values: list[float]) -> None:
    found, known = difference(np.array(values)), stats.ttest_1samp(values, 0.0)
    assert found.p == pytest.approx(known.pvalue, abs=1e-9)
    low, high = known.confidence_interval(0.95)
    assert found.interval() == pytest.approx((low, high), abs=1e-9)


def test_one_seed_says_nothing() -> None:
    with pytest.raises(ValueError, match="at least 2 seeds"):
        difference(np.array([0.1]))


def test_equal_scores_are_no_difference() -> None:
    found = difference(np.zeros(3))
    assert (found.p, found.probability, found.interval()) == (1.0, 0.5, (0.0, 0.0))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_correction_keeps_the_order_and_never_helps(values: list[float]) -> None:
    corrected = holm(values)
    assert all(after >= before - 1e-12 for before, after in zip(values, corrected, strict=True))
    assert min(corrected) == pytest.approx(min(1.0, len(values) * min(values)))
    order = np.argsort(values, kind="stable")
    assert all(np.diff(np.array(corrected)[order]) >= -1e-12)


def test_a_clear_front_has_clear_probabilities() -> None:
    scores = np.array([[0.5, 0.51, 0.49], [0.8, 0.81, 0.79], [0.6, 0.61, 0.59]])
    chances = on_front(np.array([100.0, 200.0, 300.0]), scores)
    assert chances.tolist() == pytest.approx([1.0, 1.0, 0.0], abs=0.01)


def test_equals_share_the_front() -> None:
    rng = np.random.default_rng(0)
    chances = on_front(np.array([100.0, 100.0]), rng.normal(0.5, 0.01, (2, 50)))
    assert chances.sum() == pytest.approx(1.0, abs=1e-9)
