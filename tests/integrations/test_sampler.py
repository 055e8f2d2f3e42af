"""The mixture sampler in a DataLoader: exact, resumable, and independent of the number of workers and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from ratio_hpo.core.errors import ResumeError
from ratio_hpo.integrations.torch import MixtureBatchSampler, concatenate, sizes_of

SIZES = {"en": 50, "fi": 7, "sw": 3}
SHARES = {"en": 0.5, "fi": 0.3, "sw": 0.2}


@given(draws=st.integers(0, 300), start=st.integers(0, 300), seed=st.integers(0, 3))
def test_going_on_gives_the_rest_of_the_whole(draws: int, start: int, seed: int) -> None:
    start = min(start, draws)
    whole = list(MixtureBatchSampler(SIZES, SHARES, draws=draws, seed=seed))
    rest = MixtureBatchSampler(SIZES, SHARES, draws=draws, seed=seed, start=start)
    assert list(rest) == whole[start:]
    assert len(rest) == draws - start


def readers(world: int, **options: Any) -> list[MixtureBatchSampler]:
    shared = {"sizes": SIZES, "shares": SHARES, "world_size": world, **options}
    return [MixtureBatchSampler(rank=rank, **shared) for rank in range(world)]  # type: ignore[arg-type]


@given(draws=st.integers(1, 300), steps=st.integers(0, 20), world=st.integers(1, 5), batch=st.integers(1, 9))
def test_processes_together_read_what_one_would(draws: int, steps: int, world: int, batch: int) -> None:
    """Compare batch by batch, starting at any step."""
    start = steps * batch * world if steps * batch * world <= draws else 0
    parts = [list(part) for part in readers(world, draws=draws, start=start, batch_size=batch)]
    padded = -(-draws // world) * world
    whole = list(MixtureBatchSampler(SIZES, SHARES, draws=padded))[start:]
    assert {len(part) for part in parts} == {(padded - start) // world}, "all make the same number of steps"
    for step in range(-(-len(parts[0]) // batch)):
        together = [index for part in parts for index in part[step * batch : (step + 1) * batch]]
        assert sorted(together) == sorted(whole[step * batch * world : (step + 1) * batch * world])


@pytest.mark.parametrize("world", [2, 4, 8])
@pytest.mark.parametrize("shares", [{"en": 0.5, "sw": 0.5}, {"en": 0.75, "sw": 0.25}, {"en": 0.7, "sw": 0.3}])
@pytest.mark.parametrize("options", [{}, {"batch_size": 8}, {"batch_size": 48}])
def test_each_process_sees_every_source_in_its_share(
    world: int, shares: dict[str, float], options: dict[str, int]
) -> None:
    """An even mixture is periodic. Distributed in order, it would give each process a single source."""
    sizes = {"en": 1000, "sw": 1000}
    for rank in range(world):
        drawn = list(MixtureBatchSampler(sizes, shares, draws=8000, rank=rank, world_size=world, **options))
        assert abs(sum(index >= 1000 for index in drawn) / len(drawn) - shares["sw"]) < 0.02


@pytest.mark.parametrize(("drop_last", "each", "padded"), [(False, 251, 1), (True, 250, 0)])
def test_what_cannot_be_dealt_out_evenly_is_padded_or_dropped(drop_last: bool, each: int, padded: int) -> None:
    parts = readers(4, draws=1003, drop_last=drop_last)
    assert [len(part) for part in parts] == [each] * 4
    assert [len(list(part)) for part in parts] == [each] * 4
    assert [part.num_padded for part in parts] == [padded] * 4


def test_an_epoch_goes_on_where_the_one_before_ended() -> None:
    sampler = MixtureBatchSampler(SIZES, SHARES, draws=40)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs += list(sampler)
    assert epochs == list(MixtureBatchSampler(SIZES, SHARES, draws=120))
    with pytest.raises(ValueError, match="needs epoch >= 0"):
        sampler.set_epoch(-1)


@pytest.mark.parametrize("world", [1, 3])
def test_a_state_goes_on_exactly_or_is_refused(world: int) -> None:
    first = readers(world, draws=60, batch_size=5, seed=3)
    for part in first:
        part.set_epoch(1)
    whole = [list(part) for part in first]
    states = [part.state_dict(consumed=2 * 5 * world) for part in first]
    states = json.loads(json.dumps(states))
    again = readers(world, draws=60, batch_size=5, seed=3)
    for part, state in zip(again, states, strict=True):
        part.load_state_dict(state)
    assert [list(part) for part in again] == [part[10:] for part in whole]
    for changes in ({"seed": 4}, {"draws": 90}, {"shares": {"en": 0.5, "fi": 0.5}}, {"sizes": {**SIZES, "sw": 4}}):
        with pytest.raises(ResumeError, match="start from 0"):
            MixtureBatchSampler(
                **{"sizes": SIZES, "shares": SHARES, "draws": 60, "seed": 3, **changes}
            ).load_state_dict(MixtureBatchSampler(SIZES, SHARES, draws=60, seed=3).state_dict())


def test_a_state_counts_what_was_handed_out() -> None:
    sampler = MixtureBatchSampler(SIZES, SHARES, draws=60)
    taken = list(islice(sampler, 7))
    state = sampler.state_dict()
    sampler.load_state_dict(state)
    assert taken[: state["position"]] + list(sampler) == list(MixtureBatchSampler(SIZES, SHARES, draws=60))


PROCESS = """
import json, sys
import torch.distributed as dist
from ratio_hpo.core.errors import ResumeError
from ratio_hpo.integrations.torch import MixtureBatchSampler
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
options = dict(draws=1000, seed=1, rank=dist.get_rank(), world_size=dist.get_world_size(), batch_size=8)
sampler = MixtureBatchSampler({"en": 300, "sw": 90}, {"en": 0.5, "sw": 0.5}, **options)
whole = list(sampler)
sampler.load_state_dict(sampler.state_dict(consumed=10 * 8 * world))
parts = [None] * world
dist.all_gather_object(parts, [whole, list(sampler)])
if rank == 0:
    print(json.dumps(parts))
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_processes_of_a_group(world: int, tmp_path: Path) -> None:
    """Real processes communicate over gloo: check the shares of each, their union, and resuming mid-epoch."""
    command = [sys.executable, "-c", PROCESS]
    group = [
        subprocess.Popen([*command, str(rank), str(world), str(tmp_path / "store")], stdout=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in group]
    assert [process.returncode for process in group] == [0] * world
    parts = json.loads(next(output for output in outputs if output.strip()).splitlines()[-1])
    one = list(MixtureBatchSampler({"en": 300, "sw": 90}, {"en": 0.5, "sw": 0.5}, draws=1000, seed=1))
    assert sorted(index for whole, _ in parts for index in whole) == sorted(one)
    for whole, rest in parts:
        assert abs(sum(index >= 300 for index in whole) / len(whole) - 0.5) < 0.02
        assert rest == whole[80:]


def test_shares_are_exact_at_every_prefix() -> None:
    sampler = MixtureBatchSampler(SIZES, SHARES, draws=1000)
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
    sampler = MixtureBatchSampler(sizes_of(data), SHARES, draws=200)
    loaded = list(DataLoader(concatenate(data), 10, sampler=sampler, num_workers=workers))
    drawn = torch.cat([batch[0] for batch in loaded])
    assert {name: int((drawn == k).sum()) for k, name in enumerate(SIZES)} == sampler.counts(200)
    epoch = [int(n) for source, number in loaded for s, n in zip(source, number, strict=True) if s == 2][:3]
    assert sorted(epoch) == [0, 1, 2]  # a permutation, not a sample with replacement


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": 11}, "start=11"),
        ({"start": 3, "world_size": 2}, "start=3"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"rank": 2, "world_size": 2}, "rank=2"),
        ({"shares": {"en": 0.5, "tr": 0.5}}, "shares name tr"),
        ({"shares": {"en": 0.5, "sw": 0.4}}, "shares must sum to 1"),
        ({"sizes": {**SIZES, "sw": 0}}, "holds no window"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"sizes": SIZES, "shares": SHARES, "draws": 10, **changes}
    with pytest.raises(ValueError, match=message):
        MixtureBatchSampler(**arguments)
