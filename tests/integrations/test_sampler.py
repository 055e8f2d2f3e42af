"""The mixer in a DataLoader: exact, resumable, the same for any number of workers and processes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from ratio_hpo.integrations.torch import MixtureSampler, concatenate, sizes_of

SIZES = {"en": 50, "fi": 7, "sw": 3}
SHARES = {"en": 0.5, "fi": 0.3, "sw": 0.2}


@given(draws=st.integers(0, 300), start=st.integers(0, 300), seed=st.integers(0, 3))
def test_going_on_gives_the_rest_of_the_whole(draws: int, start: int, seed: int) -> None:
    start = min(start, draws)
    whole = list(MixtureSampler(SIZES, SHARES, draws=draws, seed=seed))
    rest = MixtureSampler(SIZES, SHARES, draws=draws, seed=seed, start=start)
    assert list(rest) == whole[start:]
    assert len(rest) == draws - start


@given(draws=st.integers(1, 300), start=st.integers(0, 50), world=st.integers(1, 5))
def test_processes_share_the_draws_without_overlap(draws: int, start: int, world: int) -> None:
    start = min(start, draws)
    whole = list(MixtureSampler(SIZES, SHARES, draws=draws))[start:]
    parts = [MixtureSampler(SIZES, SHARES, draws=draws, start=start, rank=r, world_size=world) for r in range(world)]
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]
    merged = [None] * len(whole)
    for rank, part in enumerate(parts):
        for position, index in zip((p for p in range(start, draws) if p % world == rank), part, strict=True):
            merged[position - start] = index  # type: ignore[call-overload]
    assert merged == whole


def test_shares_are_exact_at_every_prefix() -> None:
    sampler = MixtureSampler(SIZES, SHARES, draws=1000)
    for draws in range(1, 1000, 37):
        for name, count in sampler.counts(draws).items():
            assert abs(count - draws * SHARES[name]) <= 2


def labelled() -> dict[str, Any]:
    return {
        name: TensorDataset(torch.full((size,), k), torch.arange(size)) for k, (name, size) in enumerate(SIZES.items())
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_of_the_sources_that_were_drawn(workers: int) -> None:
    data = labelled()
    sampler = MixtureSampler(sizes_of(data), SHARES, draws=200)
    loaded = list(DataLoader(concatenate(data), 10, sampler=sampler, num_workers=workers))
    drawn = torch.cat([batch[0] for batch in loaded])
    assert {name: int((drawn == k).sum()) for k, name in enumerate(SIZES)} == sampler.counts(200)
    epoch = [int(n) for source, number in loaded for s, n in zip(source, number, strict=True) if s == 2][:3]
    assert sorted(epoch) == [0, 1, 2]  # a permutation, never a sample with replacement


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": 11}, "start=11"),
        ({"rank": 2, "world_size": 2}, "rank=2"),
        ({"shares": {"en": 0.5, "tr": 0.5}}, "shares name tr"),
        ({"shares": {"en": 0.5, "sw": 0.4}}, "shares must sum to 1"),
        ({"sizes": {**SIZES, "sw": 0}}, "holds no window"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"sizes": SIZES, "shares": SHARES, "draws": 10, **changes}
    with pytest.raises(ValueError, match=message):
        MixtureSampler(**arguments)
