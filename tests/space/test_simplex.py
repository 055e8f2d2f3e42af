from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ratio_hpo.space import Simplex
from ratio_hpo.space.simplex import from_cube, to_cube
from ratio_hpo.space.volumes import suffix_volumes


def free(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(size), np.ones(size)


inner = st.floats(1e-6, 1 - 1e-6)
cubes = st.integers(2, 32).flatmap(lambda size: st.lists(inner, min_size=size - 1, max_size=size - 1))


@given(cubes)
def test_cube_to_simplex_and_back(cube: list[float]) -> None:
    low, high = free(len(cube) + 1)
    shares = from_cube(cube, low, high)
    assert abs(shares.sum() - 1.0) < 1e-12
    assert np.allclose(to_cube(shares, low, high), cube, atol=1e-9, rtol=0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=32).filter(lambda xs: sum(xs) > 1e-3))
def test_simplex_to_cube_and_back_everywhere(weights: list[float]) -> None:
    shares = np.array(weights) / sum(weights)
    low, high = free(len(shares))
    cube = to_cube(shares, low, high)
    assert all(0.0 <= value <= 1.0 for value in cube)
    assert np.allclose(from_cube(cube, low, high), shares, atol=1e-9, rtol=0)


def test_a_rest_that_nearly_vanishes_is_no_overflow() -> None:
    """The first share is 1 minus one bit, so the remainder is close to both its lower and its upper bound."""
    low, high = free(32)
    shares = np.array([1.0 - 2.0**-53, *[2.0**-53 / 31] * 31])
    assert np.allclose(from_cube(to_cube(shares, low, high), low, high), shares, atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [2, 3, 8, 32])
def test_corners_survive_the_round_trip(size: int) -> None:
    low, high = free(size)
    for k in range(size):
        corner = np.eye(size)[k]
        assert np.allclose(from_cube(to_cube(corner, low, high), low, high), corner, atol=1e-9)


@st.composite
def bounded(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[float]]:
    size = draw(st.integers(2, 12))
    low = np.array(draw(st.lists(st.floats(0, 0.9 / size), min_size=size, max_size=size)))
    room = draw(st.lists(st.floats(1.2 / size, 1.0), min_size=size, max_size=size))
    cube = draw(st.lists(st.floats(0, 1), min_size=size - 1, max_size=size - 1))
    return low, np.minimum(low + room, 1.0), cube


@pytest.mark.parametrize("short", [1e-16, 2e-16, 1e-15, 1e-13, 1e-10])
def test_a_bound_a_rounding_error_below_everything_is_none(short: float) -> None:
    low, high = np.zeros(3), np.array([1.0 - short, 1.0 - short, 1.0])
    shares = from_cube([0.0, 0.0], low, high)
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.allclose(from_cube(to_cube(shares, low, high), low, high), shares, atol=1e-9)


@given(bounded())
def test_bounds_are_never_left(case: tuple[np.ndarray, np.ndarray, list[float]]) -> None:
    low, high, cube = case
    shares = from_cube(cube, low, high)
    assert abs(shares.sum() - 1.0) < 1e-9
    assert np.all(shares >= low)
    assert np.all(shares <= high)
    assert np.allclose(from_cube(to_cube(shares, low, high), low, high), shares, atol=1e-9)


@pytest.mark.parametrize("size", [2, 3, 8, 32])
def test_the_uniform_cube_becomes_the_flat_dirichlet(size: int) -> None:
    """Marginals of the flat Dirichlet are Beta(1, K-1), independent of the order of the parts."""
    rng = np.random.default_rng(0)
    low, high = free(size)
    shares = np.array([from_cube(rng.random(size - 1), low, high) for _ in range(4000)])
    for part in (0, size // 2, size - 1):
        assert stats.kstest(shares[:, part], stats.beta(1, size - 1).cdf).pvalue > 1e-3
    pairs = shares[:, 0] + shares[:, -1]
    if size > 2:
        assert stats.kstest(pairs, stats.beta(2, size - 2).cdf).pvalue > 1e-3


@settings(max_examples=200)
@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda xs: sum(xs) > 1e-3), st.booleans(), st.booleans()
)
def test_grid_and_presence_are_projections(weights: list[float], grid: bool, presence: bool) -> None:
    domain = Simplex(
        parts=("a", "b", "c", "d"),
        low={"a": 0.05},
        high={"b": 0.6},
        grid=20 if grid else None,
        presence=0.05 if presence else None,
    )
    raw = dict(zip(domain.parts, from_cube(np.array(weights[:3]), *domain._bounds()), strict=True))
    once = domain.project(raw)
    assert domain.contains(once)
    assert domain.project(once) == pytest.approx(once, abs=1e-12)
    for value in once.values():
        if presence:
            assert value == 0.0 or value >= 0.05 - 1e-9
        if grid:
            assert value * 20 == pytest.approx(round(value * 20), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_presence_leaves_room_for_the_grid(cube: list[float]) -> None:
    """An upper bound between two grid points is rounded down to the grid."""
    domain = Simplex(parts=("a", "b", "c", "d"), high=dict.fromkeys("abcd", 0.34), grid=10, presence=0.05)
    shares = domain.decode(tuple(cube))
    assert domain.contains(shares)
    assert domain.project(shares) == pytest.approx(shares)


def test_presence_gives_explicit_zeros() -> None:
    domain = Simplex(parts=("a", "b", "c"), presence=0.1)
    assert domain.project({"a": 0.6, "b": 0.36, "c": 0.04}) == pytest.approx({"a": 0.625, "b": 0.375, "c": 0.0})


BOUNDS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "one upper bound": ({}, {"a": 0.3}),
    "upper bounds": ({}, {"a": 0.5, "b": 0.6, "c": 0.4}),
    "both": ({"a": 0.1, "c": 0.05}, {"b": 0.45, "a": 0.7}),
    "tight": ({}, {"a": 0.35, "b": 0.36, "c": 0.37}),
    "many": ({"d": 0.02}, dict.fromkeys("abcdefgh", 0.25)),
    "a corner": ({"a": 0.5}, {"b": 0.05, "c": 0.9}),
    "a fixed part": ({"d": 0.2}, {"d": 0.2, "b": 0.5}),
    "a part at zero": ({}, {"d": 0.0, "b": 0.5}),
}


def flat_within(low: np.ndarray, high: np.ndarray, number: int) -> np.ndarray:
    """Sample the flat Dirichlet distribution within the bounds by rejection [number, K]."""
    rng, kept = np.random.default_rng(1), np.empty((0, len(low)))
    while len(kept) < number:
        drawn = np.tile(low, (100_000, 1))
        drawn[:, high > low] += (1 - low.sum()) * rng.dirichlet(np.ones(int((high > low).sum())), size=100_000)
        kept = np.concatenate([kept, drawn[np.all(drawn <= high, axis=1)]])
    return kept[:number]


@pytest.mark.parametrize("case", BOUNDS)
def test_the_uniform_cube_becomes_the_flat_law_within_the_bounds(case: str) -> None:
    low, high = BOUNDS[case]
    domain = Simplex(parts=tuple(sorted({*low, *high, "a", "b", "c"})), low=low, high=high)
    rng = np.random.default_rng(0)
    got = np.array([list(domain.decode(tuple(rng.random(domain.dimensions))).values()) for _ in range(1500)])
    wanted = flat_within(*domain._bounds(), 30_000)
    assert np.all(got >= domain._bounds()[0] - 1e-12)
    assert np.all(got <= domain._bounds()[1] + 1e-12)
    for k in range(got.shape[1]):
        if domain._bounds()[0][k] == domain._bounds()[1][k]:
            continue
        assert stats.ks_2samp(got[:, k], wanted[:, k]).pvalue > 1e-3, domain.parts[k]
        other = (k + 1) % got.shape[1]
        assert stats.ks_2samp(got[:, k] - got[:, other], wanted[:, k] - wanted[:, other]).pvalue > 1e-3


@given(
    st.permutations("abc"),
    st.sampled_from(["one upper bound", "upper bounds", "both", "tight", "a corner"]),
    st.tuples(inner, inner),
)
def test_the_order_in_the_file_changes_nothing(order: list[str], case: str, cube: tuple[float, float]) -> None:
    low, high = BOUNDS[case]
    shuffled = Simplex(
        parts=tuple(order),
        low={name: low[name] for name in order if name in low},
        high={name: high[name] for name in reversed(order) if name in high},
    )
    plain = Simplex(parts=("a", "b", "c"), low=low, high=high)
    assert shuffled.parts == plain.parts
    assert shuffled.decode(cube) == plain.decode(cube)
    assert shuffled.encode(plain.decode(cube)) == pytest.approx(cube, abs=1e-9)


def exact_volume(room: list[Fraction], s: Fraction) -> Fraction:
    """Return n! vol{0 <= x <= room, sum x <= s}: the alternating sum over subsets, in exact arithmetic."""
    total = Fraction(0)
    for size in range(len(room) + 1):
        for chosen in itertools.combinations(room, size):
            total += (-1) ** size * max(s - sum(chosen), Fraction(0)) ** len(room)
    return total


@pytest.mark.parametrize("room", [[0.5, 0.25], [0.1] * 12, [0.3, 0.9, 0.2, 0.6, 0.125, 0.4, 0.35], [1.0, 1.0, 0.05]])
def test_volumes_equal_the_exact_ones(room: list[float]) -> None:
    [volume] = suffix_volumes((1.0, *room), 1.0)[:1]
    whole = exact_volume([Fraction(u) for u in room], Fraction(1))
    for s in (1e-9, 0.01, 0.1, 0.3, 0.55, 0.8, 0.99):
        exact = exact_volume([Fraction(u) for u in room], Fraction(s))
        assert volume.log_ratio(s, 1.0) == pytest.approx(math.log(exact / whole), abs=3e-4)
