"""The mixer in anybody's PyTorch `DataLoader`: exact shares at every prefix, resumable from one integer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

from torch.utils.data import ConcatDataset, Dataset, Sampler

from ratio_hpo.core.errors import ResumeError
from ratio_hpo.data.mixing import Mixture, MixtureStream
from ratio_hpo.data.mixing.readers import draws_of

STATE_FORMAT = 1


class MixtureBatchSampler(Sampler[int]):
    """Indices into `concatenate(sources)`, with each source's share exact at every prefix.

    Which index stands at a position is a pure function of (shares, sizes, seed, position). So a run goes on where it
    stopped from one integer, `start`: the number of examples that were consumed, which is steps x batch size. The
    sampler runs in the process of the `DataLoader`, which hands indices to its workers in order: the batches are the
    same for any number of workers, and what workers had fetched ahead at a stop is not counted.

    Several processes (`rank` of `world_size`) read the stream of one: each global batch of `batch_size` x `world_size`
    draws is permuted by (seed, batch) and dealt out, so that each process sees every source in its share: within one
    example a batch. All give the
    same number of examples: where `draws` cannot be dealt out evenly, the stream goes on for up to `world_size` - 1
    draws more (`num_padded`), or with `drop_last` the rest is left out.

    Args:
        sizes: number of examples of each source.
        shares: of each source; they sum to 1.
        draws: examples of an epoch, in all processes together.
        seed: of the permutations; the sources of the draws do not hang on it.
        start: position in the epoch to go on from, in all processes together: a multiple of `world_size`.
        reference: sources that take over when all others are capped.
        max_epochs: most epochs over a source; None: no cap.
        rank: number of this process, from 0.
        world_size: number of processes.
        batch_size: examples that each process takes at a step, as its `DataLoader` does; of no account to one process.
        drop_last: leave out draws that cannot be dealt out evenly, instead of drawing more.

    Raises:
        ConfigError: shares that do not sum to 1.
        ValueError: a source with a share but no example, or positions out of order.

    Examples:
        >>> sampler = MixtureBatchSampler({"en": 100, "sw": 10}, {"en": 0.5, "sw": 0.5}, draws=8)
        >>> sorted(index >= 100 for index in sampler)  # those of sw come after those of en
        [False, False, False, False, True, True, True, True]
        >>> list(sampler)[6:] == list(MixtureBatchSampler({"en": 100, "sw": 10}, {"en": 0.5, "sw": 0.5}, draws=8, start=6))
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
            raise ValueError(f"shares name {unknown[0]}, which has no size; known: {', '.join(sizes)}")
        mixture = Mixture(shares=shares, sizes=dict(sizes), reference=frozenset(reference), max_epochs=max_epochs)
        self.stream = MixtureStream(mixture, seed)
        self._rank, self._world, self._batch = rank, world_size, batch_size
        self._draws = (draws if drop_last else draws + world_size - 1) // world_size * world_size
        self.num_padded = max(self._draws - draws, 0)
        self._epoch, self._handed = 0, 0
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
        self._handed = self._start
        for source, index in drawn:
            for k, place in zip(source.tolist(), index.tolist(), strict=True):
                self._handed += self._world
                yield offsets[k] + place

    def __len__(self) -> int:
        return (self._draws - self._start) // self._world

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch, whose draws go on where those of the epoch before ended."""
        if epoch < 0:
            raise ValueError(f"an epoch is 0 or more, but got {epoch}")
        self._epoch, self._start = epoch, 0

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """What going on needs.

        Args:
            consumed: examples of this epoch that all processes together have trained on; None: that the sampler has
                handed out, which with the workers of a `DataLoader` is more.
        """
        position = self._handed if consumed is None else self._checked(consumed)
        return {"format": STATE_FORMAT, "epoch": self._epoch, "position": position, "mixture": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            ResumeError: it is of another mixture, seed, or number of draws, so that it would not be the same stream.
        """
        if state.get("format") != STATE_FORMAT or state.get("mixture") != self._identity():
            raise ResumeError("the state is of another mixture, seed, batch size or number of draws; start anew")
        self._epoch, self._start = int(state["epoch"]), self._checked(int(state["position"]))
        self._handed = self._start

    @property
    def num_examples(self) -> int:
        """How many examples there are to draw from, in all sources together."""
        return sum(self.stream.mixture.sizes.values())

    def _identity(self) -> dict[str, Any]:
        """What the stream, and how it is dealt out, hang on."""
        block = self._batch * self._world if self._world > 1 else None
        return {**self.stream.mixture.identity(), "seed": self.stream.seed, "draws": self._draws, "global_batch": block}

    def _checked(self, start: int) -> int:
        if not 0 <= start <= self._draws or start % self._world:
            raise ValueError(
                f"a sampler needs 0 <= start <= draws, and start as a multiple of world_size, but got start={start}, "
                f"draws={self._draws}, world_size={self._world}"
            )
        return start

    def counts(self, draws: int) -> dict[str, int]:
        """How many of the first `draws` examples each source gives."""
        return self.stream.counts(draws)


def concatenate(sources: Mapping[str, Dataset[Any]]) -> ConcatDataset[Any]:
    """The sources as one data set, in the order in which a `MixtureSampler` counts them.

    Examples:
        >>> from torch.utils.data import TensorDataset
        >>> import torch
        >>> len(concatenate({"sw": TensorDataset(torch.arange(3)), "en": TensorDataset(torch.arange(5))}))
        8
    """
    return ConcatDataset([sources[name] for name in sorted(sources)])


def sizes_of(sources: Mapping[str, Sized]) -> dict[str, int]:
    """Number of examples of each source.

    Examples:
        >>> sizes_of({"en": "abc", "sw": "d"})
        {'en': 3, 'sw': 1}
    """
    return {name: len(source) for name, source in sources.items()}
