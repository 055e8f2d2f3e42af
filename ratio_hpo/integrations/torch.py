"""Sample a mixture in a PyTorch `DataLoader`: exact shares at every prefix, resumable from one integer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any, TypedDict

from torch.utils.data import ConcatDataset, Dataset, Sampler

from ratio_hpo.core.errors import ResumeError
from ratio_hpo.data.mixing import Mixture, MixtureStream
from ratio_hpo.data.mixing.stream import draws_of

STATE_FORMAT = 1


class SamplerState(TypedDict):
    """State of a `MixtureBatchSampler`: format, epoch, position in the epoch, and identity of the stream.

    Examples:
        >>> state = MixtureBatchSampler({"en": 4}, {"en": 1.0}, draws=4).state_dict(consumed=2)
        >>> state["epoch"], state["position"]
        (0, 2)
    """

    format: int
    epoch: int
    position: int
    mixture: dict[str, object]


class MixtureBatchSampler(Sampler[int]):
    """Sampler of indices into `concatenate(sources)` that keeps each source's share exact at every prefix.

    The index at a position is a pure function of (shares, sizes, seed, position). A run therefore resumes from one
    integer, `start`: the number of consumed examples, which is steps x batch size. The sampler runs in the process of
    the `DataLoader`, which passes indices to its workers in order. The batches are the same for any number of workers,
    and batches that workers prefetched before a stop are not counted.

    Several processes (`rank` of `world_size`) together read the stream of a single process. Each global batch of
    `batch_size` x `world_size` draws is permuted by (seed, batch) and split among the processes, so that each process
    sees every source in its share, within one example per batch. All processes yield the same number of examples: if
    `draws` is not divisible by `world_size`, the stream is extended by up to `world_size` - 1 draws (`num_padded`), or
    shortened with `drop_last`.

    Args:
        sizes: Number of examples of each source.
        shares: Share of each source; they sum to 1.
        draws: Examples per epoch over all processes.
        seed: Seed of the permutations; the order of sources does not depend on it.
        start: Position in the epoch to resume from, over all processes: a multiple of `world_size`.
        reference: Sources that replace all others once those are capped.
        max_epochs: Maximum epochs over a source. None: no cap.
        rank: Rank of this process, from 0.
        world_size: Number of processes.
        batch_size: Batch size of each process, as in its `DataLoader`; not used with one process.
        drop_last: Drop draws that cannot be split evenly, instead of extending the stream.

    Attributes:
        stream: Stream of draws that the sampler reads.

    Raises:
        ConfigError: The shares do not sum to 1.
        ValueError: A source with a share has no example, or an argument is out of range.

    Examples:
        >>> sampler = MixtureBatchSampler({"en": 100, "sw": 10}, {"en": 0.5, "sw": 0.5}, draws=8)
        >>> sorted(index >= 100 for index in sampler)  # indices of sw follow those of en
        [False, False, False, False, True, True, True, True]
        >>> resumed = MixtureBatchSampler({"en": 100, "sw": 10}, {"en": 0.5, "sw": 0.5}, draws=8, start=6)
        >>> list(sampler)[6:] == list(resumed)
        True
        >>> state = sampler.state_dict(consumed=6)
        >>> sampler.load_state_dict(state)
        >>> len(list(sampler))
        2
    """

    stream: MixtureStream

    def __init__(
        self,
        sizes: Mapping[str, int],
        shares: Mapping[str, float],
        *,
        draws: int,
        seed: int = 0,
        start: int = 0,
        reference: Sequence[str] = (),
        max_epochs: float | None = None,
        rank: int = 0,
        world_size: int = 1,
        batch_size: int = 32,
        drop_last: bool = False,
    ) -> None:
        if draws < 0 or not 0 <= rank < world_size or batch_size < 1:
            raise ValueError(
                f"a sampler needs draws >= 0, 0 <= rank < world_size and batch_size >= 1, but got draws={draws}, "
                f"rank={rank}, world_size={world_size}, batch_size={batch_size}"
            )
        unknown = [name for name in shares if name not in sizes]
        if unknown:
            raise ValueError(f"shares name {unknown[0]}, which has no size; use one of {', '.join(sizes)}")
        mixture = Mixture(shares=shares, sizes=dict(sizes), reference=frozenset(reference), max_epochs=max_epochs)
        self.stream = MixtureStream(mixture, seed)
        self._rank, self._world, self._batch = rank, world_size, batch_size
        self._draws = (draws if drop_last else draws + world_size - 1) // world_size * world_size
        self.num_padded = max(self._draws - draws, 0)
        self._epoch, self._yielded = 0, 0
        self._start = self._checked(start)
        self._offsets, total = {}, 0
        for name in self.stream.sources:
            self._offsets[name] = total
            total += sizes[name]

    def __iter__(self) -> Iterator[int]:
        base = self._epoch * self._draws
        offsets = [self._offsets[name] for name in self.stream.sources]
        drawn = draws_of(
            self.stream, self._rank, self._world, base + self._start, base + self._draws, batch_size=self._batch
        )
        self._yielded = self._start
        for source, index in drawn:
            for k, position in zip(source.tolist(), index.tolist(), strict=True):
                self._yielded += self._world
                yield offsets[k] + position

    def __len__(self) -> int:
        return (self._draws - self._start) // self._world

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; its draws continue the stream of the previous epoch."""
        if epoch < 0:
            raise ValueError(f"set_epoch needs epoch >= 0, but got {epoch}")
        self._epoch, self._start = epoch, 0

    def state_dict(self, consumed: int | None = None) -> SamplerState:
        """Return the state that resuming needs.

        Args:
            consumed: Examples of this epoch that all processes have trained on. None: the examples that the sampler
                has yielded, which include those that `DataLoader` workers have prefetched.
        """
        position = self._yielded if consumed is None else self._checked(consumed)
        return {"format": STATE_FORMAT, "epoch": self._epoch, "position": position, "mixture": self._identity()}

    def load_state_dict(self, state: SamplerState) -> None:
        """Resume from a state.

        Raises:
            ResumeError: The state has another mixture, seed, batch size or number of draws.
        """
        if state.get("format") != STATE_FORMAT or state.get("mixture") != self._identity():
            raise ResumeError(
                "the state has another mixture, seed, batch size or number of draws; use the same ones, or start from 0"
            )
        self._epoch, self._start = state["epoch"], self._checked(state["position"])
        self._yielded = self._start

    @property
    def num_examples(self) -> int:
        """Number of examples over all sources."""
        return sum(self.stream.mixture.sizes.values())

    def _identity(self) -> dict[str, object]:
        """Return the values that determine the stream and its split among processes."""
        block = self._batch * self._world if self._world > 1 else None
        return {**self.stream.mixture.identity(), "seed": self.stream.seed, "draws": self._draws, "global_batch": block}

    def _checked(self, start: int) -> int:
        if not 0 <= start <= self._draws or start % self._world:
            raise ValueError(
                f"a sampler needs 0 <= start <= draws and start to be a multiple of world_size, but got start={start}, "
                f"draws={self._draws}, world_size={self._world}"
            )
        return start

    def counts(self, draws: int) -> dict[str, int]:
        """Return how many of the first `draws` examples come from each source."""
        return self.stream.counts(draws)


def concatenate(sources: Mapping[str, Dataset[Any]]) -> ConcatDataset[Any]:
    """Concatenate the sources in the order that a `MixtureBatchSampler` uses.

    Examples:
        >>> from torch.utils.data import TensorDataset
        >>> import torch
        >>> len(concatenate({"sw": TensorDataset(torch.arange(3)), "en": TensorDataset(torch.arange(5))}))
        8
    """
    return ConcatDataset([sources[name] for name in sorted(sources)])


def sizes_of(sources: Mapping[str, Sized]) -> dict[str, int]:
    """Return the number of examples of each source.

    Examples:
        >>> sizes_of({"en": "abc", "sw": "d"})
        {'en': 3, 'sw': 1}
    """
    return {name: len(source) for name, source in sources.items()}
