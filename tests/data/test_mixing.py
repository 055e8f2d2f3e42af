from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.data.mixing import (
    WHOLE,
    DrawTree,
    Mixture,
    MixtureSpec,
    MixtureStream,
    SourceSize,
    SpreadRule,
    integer_shares,
    solve,
    spread_shares,
)


@st.composite
def shares_of(draw: st.DrawFn, least: int = 2, most: int = 32) -> dict[str, float]:
    weights = draw(st.lists(st.floats(0.0, 1.0), min_size=least, max_size=most).filter(lambda w: sum(w) > 0.1))
    return {f"s{k:02d}": weight / sum(weights) for k, weight in enumerate(weights)}


def size(windows: int, *, reference: bool = False, tokens: int = 10) -> SourceSize:
    return SourceSize(windows=windows, questions=windows, tokens=windows * tokens, reference=reference)


@given(shares_of())
def test_integer_shares_sum_to_the_whole(shares: dict[str, float]) -> None:
    whole = integer_shares(shares)
    assert sum(whole.values()) == WHOLE
    assert all(abs(whole.get(name, 0) / WHOLE - share) < 2e-9 for name, share in shares.items())


@settings(max_examples=60)
@given(shares_of())
def test_every_prefix_is_within_two_of_its_share(shares: dict[str, float]) -> None:
    tree = DrawTree(integer_shares(shares))
    drawn, _ = tree.draw(0, 1500)
    counts = np.cumsum(np.eye(len(tree.sources))[drawn], axis=0)
    wanted = np.arange(1, 1501)[:, None] * np.array([shares[name] for name in tree.sources])
    assert np.abs(counts - wanted).max() < 2.0


@given(shares_of(most=8), st.integers(0, 10**9), st.integers(1, 300))
def test_a_jump_equals_the_walk(shares: dict[str, float], start: int, number: int) -> None:
    tree = DrawTree(integer_shares(shares))
    source, before = tree.draw(start, start + number)
    assert tree.counts(start + number) == {
        name: tree.counts(start)[name] + Counter(source.tolist())[k] for k, name in enumerate(tree.sources)
    }
    half = number // 2
    left, right = tree.draw(start, start + half), tree.draw(start + half, start + number)
    assert np.array_equal(np.concatenate([left[0], right[0]]), source)
    assert np.array_equal(np.concatenate([left[1], right[1]]), before)


@given(shares_of(least=3, most=6), shares_of(least=3, most=6), st.integers(1, 400))
def test_two_mixtures_share_all_but_their_distance(a: dict[str, float], b: dict[str, float], draws: int) -> None:
    sizes = dict.fromkeys({**a, **b}, 50)
    names = sorted(sizes)
    distance = sum(abs(a.get(n, 0.0) - b.get(n, 0.0)) for n in names) / 2
    seen = []
    for shares in (a, b):
        stream = MixtureStream(Mixture(shares=shares, sizes=sizes), seed=1)
        seen.append(Counter(zip(*map(np.ndarray.tolist, stream.take(0, draws)), strict=True)))
    assert sum((seen[0] - seen[1]).values()) <= draws * distance + 2 * len(names)


def test_an_epoch_is_a_permutation_and_epochs_differ() -> None:
    stream = MixtureStream(Mixture(shares={"a": 1.0}, sizes={"a": 40}), seed=3)
    _, examples = stream.take(0, 80)
    assert sorted(examples[:40]) == list(range(40))
    assert sorted(examples[40:]) == list(range(40))
    assert not np.array_equal(examples[:40], examples[40:])


def test_the_seed_moves_examples_but_not_sources() -> None:
    mixture = Mixture(shares={"a": 0.3, "b": 0.7}, sizes={"a": 40, "b": 40})
    one, two = MixtureStream(mixture, 1).take(0, 60), MixtureStream(mixture, 2).take(0, 60)
    assert np.array_equal(one[0], two[0])
    assert not np.array_equal(one[1], two[1])


@given(st.floats(0.05, 0.9), st.floats(0.5, 3.0), st.integers(1, 400))
def test_no_source_passes_its_cap_while_another_can_take_over(ratio: float, most: float, draws: int) -> None:
    sizes = {"en": 10_000, "sw": 20, "ko": 35}
    shares = {"en": 1 - ratio, "sw": ratio / 2, "ko": ratio / 2}
    mixture = Mixture(shares=shares, sizes=sizes, reference=frozenset({"en"}), max_epochs=most)
    stream = MixtureStream(mixture, 0)
    counts = stream.counts(draws)
    assert sum(counts.values()) == draws
    for name in ("sw", "ko"):
        assert counts[name] <= max(1, int(most * sizes[name]))
    for name, position in stream.caps(draws).items():
        assert stream.counts(position)[name] == max(1, int(most * sizes[name]))
    assert Counter(stream.take(0, draws)[0].tolist()) == Counter(
        {k: counts[name] for k, name in enumerate(stream.sources) if counts[name]}
    )


def test_a_capped_share_goes_to_the_other_languages_first() -> None:
    sizes = {"en": 1000, "sw": 10, "ko": 1000}
    mixture = Mixture(
        shares={"en": 0.5, "sw": 0.25, "ko": 0.25}, sizes=sizes, reference=frozenset({"en"}), max_epochs=1.0
    )
    stream = MixtureStream(mixture, 0)
    position = stream.caps(400)["sw"]
    after = {k: stream.counts(position + 100)[k] - stream.counts(position)[k] for k in sizes}
    assert after == {"en": 50, "ko": 50, "sw": 0}


def test_sources_without_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"source a has share 0\.5 but holds no window"):
        MixtureStream(Mixture(shares={"a": 0.5, "b": 0.5}, sizes={"a": 0, "b": 3}), 0)


SIZES = {"en": size(900, reference=True), "sw": size(90), "ko": size(10)}


@pytest.mark.parametrize(
    ("spread", "temperature", "expected"),
    [
        ("proportional", 1.0, {"en": 0.6, "sw": 0.36, "ko": 0.04}),
        ("uniform", 1.0, {"en": 0.6, "sw": 0.2, "ko": 0.2}),
        ("temperature", 2.0, {"en": 0.6, "sw": 0.3, "ko": 0.1}),
        ("temperature", 1.0, {"en": 0.6, "sw": 0.36, "ko": 0.04}),
        ("unimax", 1.0, {"en": 0.6, "sw": 0.36, "ko": 0.04}),
    ],
)
def test_spreads(spread: str, temperature: float, expected: dict[str, float]) -> None:
    got = spread_shares(SIZES, 0.4, SpreadRule(spread=spread, temperature=temperature), amount=4000)
    assert got == pytest.approx(expected)


def test_unimax_is_uniform_until_a_source_would_repeat_too_often() -> None:
    assert spread_shares(SIZES, 1.0, SpreadRule(spread="unimax"), amount=60) == pytest.approx(
        {"en": 0.0, "sw": 0.5, "ko": 0.5}
    )
    assert spread_shares(SIZES, 1.0, SpreadRule(spread="unimax"), amount=200) == pytest.approx(
        {"en": 0.0, "sw": 0.8, "ko": 0.2}
    )


def test_token_shares_count_tokens() -> None:
    sizes = {"en": size(100, reference=True, tokens=30), "sw": size(100, tokens=10)}
    solution = solve(sizes, MixtureSpec(steps=10, batch_size=8, spread="uniform", unit="tokens"), ratio=0.5)
    assert solution.shares == pytest.approx({"en": 0.25, "sw": 0.75})


@pytest.mark.parametrize(
    ("sizes", "ratio", "message"),
    [
        (SIZES, 1.5, "ratio must be in"),
        ({"en": size(9, reference=True)}, 0.5, "needs a source outside the reference language"),
        ({"sw": size(9)}, 0.5, "needs a source in the reference language"),
    ],
)
def test_impossible_ratios_are_refused(sizes: dict[str, SourceSize], ratio: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spread_shares(sizes, ratio, SpreadRule(spread="uniform"), amount=100)
