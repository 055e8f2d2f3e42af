from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from ratio_hpo.surrogate.features import ANY, FeatureTable
from ratio_hpo.surrogate.fit import _likelihood, start
from ratio_hpo.surrogate.kernel import Hyper, Pairs, shared, variances
from ratio_hpo.surrogate.model import HEADROOM, Fitted, ResponseModel

BLOCKS = (slice(0, 1), slice(1, 3), slice(3, 4))


def made(shares: np.ndarray, others: np.ndarray, trials: np.ndarray | None = None) -> FeatureTable:
    return FeatureTable(shares, others, np.arange(len(others)) if trials is None else trials)


def points(number: int, parts: int, seed: int, others: int = 4) -> FeatureTable:
    rng = np.random.default_rng(seed)
    return made(rng.dirichlet(np.ones(parts), number), rng.random((number, others)), rng.integers(0, 5, number))


def own_laws(shares: np.ndarray, seed: int = 0, noise: float = 0.01) -> np.ndarray:
    """Each language learns from its own source, and a little from every source except the first."""
    own = 0.4 + 0.4 * (1 - np.exp(-8 * shares)) + 0.1 * (1 - shares[:, :1])
    return own + noise * np.random.default_rng(seed).standard_normal(shares.shape)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_slope_of_the_likelihood_is_what_differences_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, outputs = points(12, 3, seed), rng.standard_normal((12, 3))
    pairs, chosen = Pairs(table, table, BLOCKS), (0, None, 2)
    logs = start(BLOCKS, 1).logs() + 0.3 * rng.standard_normal(11)

    def value(at: np.ndarray) -> float:
        return _likelihood(pairs, outputs, chosen, Hyper.from_logs(at), mixed=True)[0]

    _, slope = _likelihood(pairs, outputs, chosen, Hyper.from_logs(logs), mixed=True)
    steps = 1e-5 * np.eye(len(logs))
    differences = [(value(logs + step) - value(logs - step)) / 2e-5 for step in steps]
    assert slope == pytest.approx(differences, rel=1e-3, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), parts=st.integers(1, 6))
def test_a_covariance_has_no_negative_eigenvalue_and_the_variances_on_its_diagonal(seed: int, parts: int) -> None:
    table = points(15, parts, seed)
    hyper = start(BLOCKS, 1)
    common = shared(Pairs(table, table, BLOCKS), hyper, mixed=True)
    for part in (None, 0, parts - 1):
        covariance = common.of(part)
        assert np.linalg.eigvalsh(covariance).min() > -1e-8
        assert np.diag(covariance) == pytest.approx(variances(table, hyper, part))


def test_it_finds_the_source_that_each_language_learns_from() -> None:
    table = points(15, 6, 1, others=0)
    model = ResponseModel((), 0, table, own_laws(table.shares))
    assert model.fitted.parts == (0, 1, 2, 3, 4, 5)


def test_fifteen_mixtures_rank_the_ones_that_it_has_not_seen() -> None:
    table, others = points(15, 8, 2, others=0), points(300, 8, 3, others=0)
    told = ResponseModel((), 0, table, own_laws(table.shares)).predict(others)
    truth = own_laws(others.shares, noise=0.0).mean(1)
    assert spearmanr(told.mean, truth)[0] > 0.8
    inside = np.abs(told.mean - truth) < 1.2816 * told.sd
    assert 0.6 < inside.mean() <= 1.0


def test_doubt_grows_with_the_distance_from_what_was_seen() -> None:
    ratio = np.array([0.0, 0.1, 0.2, 0.3])
    table = made(np.stack([1 - ratio, ratio], axis=1), np.zeros((4, 0)))
    model = ResponseModel((), 0, table, np.array([[0.4], [0.5], [0.55], [0.6]]))
    far = np.array([0.15, 0.5, 1.0])
    sd = model.predict(made(np.stack([1 - far, far], axis=1), np.zeros((3, 0))).of_any_run()).sd
    assert sd[0] < sd[1] < sd[2]


def test_a_space_without_a_mixture_is_modelled_too() -> None:
    rng = np.random.default_rng(0)
    places = rng.random((30, 2))
    table = made(np.zeros((30, 0)), places)
    model = ResponseModel((slice(0, 1), slice(1, 2)), 0, table, (1 - (places[:, :1] - 0.3) ** 2))
    grid = np.linspace(0, 1, 21)
    told = model.predict(made(np.zeros((21, 0)), np.stack([grid, np.full(21, 0.5)], axis=1)))
    assert grid[told.mean.argmax()] == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("scores", [np.full((6, 2), 0.5), np.array([[0.1, 0.9]] * 3 + [[0.2, 0.9]] * 3)])
def test_scores_that_do_not_vary_are_no_trouble(scores: np.ndarray) -> None:
    table = points(6, 3, 0, others=0)
    told = ResponseModel((), 0, table, scores).predict(table)
    assert np.isfinite(told.mean).all()
    assert np.isfinite(told.sd).all()
    assert told.mean == pytest.approx(scores.mean(1), abs=0.06)


def test_the_same_points_give_the_same_model() -> None:
    table = points(20, 4, 5)
    scores = own_laws(table.shares)
    first, again = (ResponseModel(BLOCKS, 1, table, scores).predict(table) for _ in range(2))
    assert (first.mean == again.mean).all()


@pytest.mark.parametrize(("number", "least"), [(8, 0.8), (15, 0.9), (40, 0.94)])
def test_it_ranks_recorded_mixtures(real_data: Path, number: int, least: float) -> None:
    """512 mixtures of 17 domains, their losses on 13: held-out rank correlation of the mean over six draws."""
    shares, losses = (
        np.array([[float(x) for x in row[1:]] for row in list(csv.reader(path.open()))[1:]])
        for path in (real_data / "regmix" / f"train_{kind}_1m.csv" for kind in ("mixture", "pile_loss"))
    )
    shares, scores = shares / shares.sum(1, keepdims=True), -np.log(losses)
    found = []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(shares))
        some, rest = order[:number], order[number:]
        model = ResponseModel((), 0, made(shares[some], np.zeros((number, 0))), scores[some])
        told = model.predict(made(shares[rest], np.zeros((len(rest), 0))))
        found.append(spearmanr(told.mean, scores[rest].mean(1))[0])
    assert np.mean(found) > least


def test_draws_have_the_law_that_is_predicted() -> None:
    table, others = points(20, 4, 6, others=0), points(12, 4, 7, others=0)
    model = ResponseModel((), 0, table, own_laws(table.shares))
    told, drawn = model.predict(others), model.draws(others, 4000, np.random.default_rng(0))
    assert drawn.mean(0) == pytest.approx(told.mean, abs=5 * told.sd.max() / 4000**0.5 + 1e-3)
    assert drawn.std(0) == pytest.approx(told.sd, rel=0.1)


def test_runs_share_their_luck_with_themselves_alone() -> None:
    runs = np.array([0, 0, 1, ANY, ANY])
    table = FeatureTable(np.zeros((5, 0)), np.zeros((5, 0)), runs)
    hyper = Hyper(constant=0.5, run_effect=0.25)
    common = shared(Pairs(table, table, ()), hyper, mixed=False).of(None)
    own = [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0] * 5, [0] * 5]
    assert common.tolist() == (0.5 + 0.25 * np.array(own)).tolist()
    assert variances(table, hyper, None).tolist() == [0.75, 0.75, 0.75, 0.5, 0.5]


def test_the_band_of_one_more_run_holds_its_luck_and_the_noise_of_its_scores() -> None:
    """Variances add in logarithms of the headroom below the ceiling."""
    ratio = np.linspace(0, 1, 9)
    scores = (0.5 + 0.2 * ratio + 0.05 * np.sin(9 * ratio))[:, None]
    table = FeatureTable(np.stack([1 - ratio, ratio], axis=1), np.zeros((9, 0)), np.arange(9))
    fitted = Fitted(Hyper(run_effect=0.5, noise=0.25), (None,))
    model = ResponseModel((), 0, table, scores, fitted=fitted)
    on_average, measured = model.predict(table), model.predict(table, measured=True)
    ceiling = scores.max() + HEADROOM * (scores.max() - scores.min())
    scale = np.log(ceiling - scores).std()
    added = (measured.spread**2 - on_average.spread**2) / scale**2
    assert added == pytest.approx(np.full(9, 0.75))
