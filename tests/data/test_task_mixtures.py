"""Mixtures of tasks and languages: masked text is auxiliary, sizes are capped, tasks keep their share."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.data.mixing import Mixture, MixtureSpec, MixtureStream, SourceSize, SpreadRule, reachable_ratios, solve


def size(windows: int, task: str = "qa", **changes: Any) -> SourceSize:
    return SourceSize(
        windows=windows, questions=windows, tokens=10 * windows, task=task, **{"reference": False, **changes}
    )


SIZES = {
    "qa.en": size(800, reference=True),
    "qa.sw": size(200),
    "nli.en": size(1000, "nli", reference=True),
    "nli.id": size(500, "nli"),
    "pos.te": size(100, "pos"),
    "mlm.sw": size(4000, "mlm", auxiliary=True),
    "mlm.en": size(1000, "mlm", auxiliary=True, reference=True),
}
LABELLED = {name: source for name, source in SIZES.items() if not source.auxiliary}


@given(st.floats(0, 1), st.floats(0, 0.9), st.sampled_from(["proportional", "uniform", "unimax"]))
def test_masked_text_stands_beside_the_labelled_sources(ratio: float, auxiliary: float, spread: str) -> None:
    """With a share m of masked text, ratio r is r (1 - m) of all windows; the ratio is reported over labelled ones."""
    wanted = MixtureSpec(steps=50, batch_size=16, spread=spread, auxiliary=auxiliary)
    found = solve(SIZES, wanted, ratio=ratio)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.shares["mlm.sw"] + found.shares["mlm.en"] == pytest.approx(auxiliary)
    others = sum(found.shares[name] for name in ("qa.sw", "nli.id", "pos.te"))
    assert others == pytest.approx(ratio * (1 - auxiliary))
    assert found.ratio == pytest.approx(ratio)


def test_languages_of_masked_text_are_tempered() -> None:
    """Shares are proportional to n^0.3, as for XLM-R."""
    found = solve(SIZES, MixtureSpec(steps=10, batch_size=8, auxiliary=0.5), ratio=0.0)
    assert found.shares["mlm.sw"] / found.shares["mlm.en"] == pytest.approx(4**0.3)


def test_a_cap_on_sizes_holds_on_both_sides() -> None:
    found = solve(SIZES, MixtureSpec(steps=10, batch_size=8, size_cap=200), ratio=0.5)
    assert found.shares["qa.en"] == pytest.approx(0.25)
    assert found.shares["nli.en"] == pytest.approx(0.25)
    assert found.shares["qa.sw"] == found.shares["nli.id"] == pytest.approx(0.2)
    assert found.shares["pos.te"] == pytest.approx(0.1)


def test_the_reference_side_has_a_spread_of_its_own() -> None:
    found = solve(SIZES, MixtureSpec(steps=10, batch_size=8, reference_spread="uniform"), ratio=0.5)
    assert found.shares["qa.en"] == found.shares["nli.en"] == pytest.approx(0.25)


def test_repeats_of_the_reference_are_capped_at_every_ratio() -> None:
    """A source of 100 windows gives 400 of 32,000 windows, the `unimax` cap, at ratio 0 and at any other ratio."""
    sizes = {"a": size(100, reference=True), "b": size(100_000, reference=True), "sw": size(1000)}
    for ratio in (0.0, 0.001, 0.5):
        found = solve(sizes, MixtureSpec(steps=1000, batch_size=32, reference_spread="unimax"), ratio=ratio)
        assert found.shares["a"] * 32_000 == pytest.approx(400)


@given(st.floats(0, 1))
def test_balanced_tasks_keep_their_share_whatever_the_ratio(place: float) -> None:
    low, high = reachable_ratios(LABELLED, SpreadRule())
    assert (low, high) == pytest.approx((100 / 2600, 1.0))
    ratio = low + place * (high - low)
    found = solve(SIZES, MixtureSpec(steps=10, batch_size=8, balance="task"), ratio=ratio)
    tasks = {task: sum(v for name, v in found.shares.items() if name.startswith(task)) for task in ("qa", "nli", "pos")}
    assert tasks == pytest.approx({"qa": 1000 / 2600, "nli": 1500 / 2600, "pos": 100 / 2600})
    assert found.ratio == pytest.approx(ratio)


def test_a_ratio_that_balanced_tasks_cannot_reach_is_refused_with_the_interval() -> None:
    with pytest.raises(ConfigError, match=r"ratio 0 cannot be reached with balance `task`.* leaves 0\.03846 to 1"):
        solve(SIZES, MixtureSpec(steps=10, batch_size=8, balance="task"), ratio=0.0)


@given(st.integers(1, 4000), st.floats(0, 0.5))
def test_counts_stay_within_2_of_their_shares_with_masked_text_beside(draws: int, auxiliary: float) -> None:
    shares = solve(SIZES, MixtureSpec(steps=10, batch_size=8, auxiliary=auxiliary), ratio=0.4).shares
    stream = MixtureStream(Mixture(shares=shares, sizes={name: s.windows for name, s in SIZES.items()}), 0)
    for name, count in stream.counts(draws).items():
        assert abs(count - draws * shares[name]) <= 2


def test_caps_move_nothing_into_or_out_of_masked_text() -> None:
    """`mlm` repeats without a cap, since its masks change. Share freed by labelled sources goes to labelled sources."""
    shares = {"qa.en": 0.5, "qa.sw": 0.3, "mlm.sw": 0.2}
    mixture = Mixture(
        shares=shares,
        sizes={"qa.en": 10_000, "qa.sw": 50, "mlm.sw": 20},
        reference=frozenset({"qa.en"}),
        max_epochs=2.0,
        auxiliary=frozenset({"mlm.sw"}),
    )
    stream = MixtureStream(mixture, 0)
    counts = stream.counts(2000)
    assert counts["qa.sw"] == 100
    assert counts["mlm.sw"] == pytest.approx(400, abs=4)
    assert counts["qa.en"] == pytest.approx(1500, abs=4)
    assert set(stream.caps(2000)) == {"qa.sw"}
