"""The mixture and the length of a stage are solved together."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.data.mixing import MixtureSpec, SourceSize, solve
from ratio_hpo.data.mixing.shares import UNIMAX_EPOCHS
from ratio_hpo.data.mixing.solve import largest_window_ratio

BATCH = 8


def size(windows: int, *, reference: bool = False, tokens: int = 10) -> SourceSize:
    return SourceSize(windows=windows, questions=windows, tokens=windows * tokens, reference=reference)


worlds = st.lists(st.tuples(st.integers(1, 500), st.integers(5, 60)), min_size=2, max_size=5).map(
    lambda sources: {
        f"s{k}": size(windows, reference=k == 0, tokens=tokens) for k, (windows, tokens) in enumerate(sources)
    }
)
spreads = st.sampled_from(["proportional", "uniform", "temperature", "unimax"])


@given(worlds, st.floats(0.01, 0.85), st.integers(1, 200), st.sampled_from(["replace", "add"]))
def test_unimax_repeats_no_source_more_than_four_times_while_another_has_room(
    sizes: dict[str, SourceSize], ratio: float, steps: int, budget: str
) -> None:
    """This also holds if `budget: add` makes the stage longer than requested."""
    found = solve(sizes, MixtureSpec(steps=steps, batch_size=BATCH, spread="unimax", budget=budget), ratio=ratio)
    drawn = found.steps * BATCH
    epochs = {name: drawn * found.shares[name] / one.windows for name, one in sizes.items() if not one.reference}
    if drawn * ratio <= UNIMAX_EPOCHS * sum(one.windows for one in sizes.values() if not one.reference):
        assert max(epochs.values()) <= UNIMAX_EPOCHS + 1e-6
    else:  # all sources reach the cap: they repeat equally often
        assert max(epochs.values()) == pytest.approx(min(epochs.values()), rel=1e-6)


@given(worlds, st.floats(0.0, 1.0), st.integers(1, 200), spreads, st.sampled_from(["examples", "tokens"]))
def test_steps_and_the_limit_of_add_follow_the_share_of_windows(
    sizes: dict[str, SourceSize], ratio: float, steps: int, spread: str, unit: str
) -> None:
    wanted = MixtureSpec(steps=steps, batch_size=BATCH, spread=spread, unit=unit, budget="add", temperature=2.0)
    in_windows = solve(sizes, replace(wanted, budget="replace"), ratio=ratio).ratio
    if spread != "unimax" and in_windows > 0.9 + 1e-9:  # unimax depends on the length, which depends on the ratio
        with pytest.raises(ConfigError, match=r"needs at most 0\.9 of the windows"):
            solve(sizes, wanted, ratio=ratio)
    assume(largest_window_ratio(sizes, ratio, unit) <= 0.9)
    found = solve(sizes, wanted, ratio=ratio)
    assert found.ratio <= 0.9 + 1e-9
    assert found.ratio == pytest.approx(sum(s for name, s in found.shares.items() if name != "s0"))
    assert found.ratio <= largest_window_ratio(sizes, ratio, unit) + 1e-9
    assert found.requested_ratio == ratio
    assert found.steps == math.ceil(steps / (1 - found.ratio) - 1e-9)


@given(worlds, st.floats(0.05, 0.95), spreads)
def test_tokens_are_converted_once(sizes: dict[str, SourceSize], ratio: float, spread: str) -> None:
    found = solve(
        sizes, MixtureSpec(steps=10, batch_size=BATCH, spread=spread, unit="tokens", temperature=2.0), ratio=ratio
    )
    tokens = {name: share * sizes[name].tokens_per_window for name, share in found.shares.items()}
    assert sum(t for name, t in tokens.items() if name != "s0") / sum(tokens.values()) == pytest.approx(ratio)
    assume(found.ratio < 0.9)
    again = solve(sizes, MixtureSpec(steps=10, batch_size=BATCH, unit="tokens", budget="add"), shares=found.requested)
    assert again.shares == pytest.approx(found.shares)


def test_fewer_steps_may_need_more_windows_outside_the_reference() -> None:
    """With `unit: tokens` and unimax, fewer steps cap less, so sources with short windows get more windows."""
    sizes = {"en": size(10_000, reference=True, tokens=100), "sw": size(400, tokens=40), "ru": size(10_000, tokens=100)}
    wanted = MixtureSpec(steps=400, batch_size=16, spread="unimax", unit="tokens", budget="add")
    assert solve(sizes, wanted, ratio=0.89).ratio < 0.9
    with pytest.raises(ConfigError, match="needs at most"):
        solve(sizes, replace(wanted, steps=50), ratio=0.89)
    assert largest_window_ratio(sizes, 0.89, "tokens") > 0.9


def test_short_windows_of_the_others_make_a_ratio_in_tokens_larger_in_windows() -> None:
    """Here .85 of the tokens are .945 of the windows, more than `budget: add` allows in any unit."""
    sizes = {"en": size(100, reference=True, tokens=30), "sw": size(100, tokens=10)}
    with pytest.raises(ConfigError, match=r"needs at most 0\.9 of the windows .* but got 0\.9444"):
        solve(sizes, MixtureSpec(steps=10, batch_size=8, unit="tokens", budget="add"), ratio=0.85)
