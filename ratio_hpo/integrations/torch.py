"""The mixer in anybody's PyTorch `DataLoader`: exact shares at every prefix, resumable from one integer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

from torch.utils.data import ConcatDataset, Dataset, Sampler

from ratio_hpo.data.mixing import Mixture, MixtureStream

CHUNK = 4096
"""Draws that are worked out at once."""


class MixtureSampler(Sampler[int]):
    """Indices into `concatenate(sources)`, with each source's share exact at every prefix.

    Which index stands at a position is a pure function of (shares, sizes, seed, position). So a run goes on where it
    stopped from one integer, `start`: the number of examples that were consumed, which is steps x batch size. The
    sampler runs in the process of the `DataLoader`, which hands indices to its workers in order: the batches are the
    same for any number of workers, and what workers had fetched ahead at a stop is not counted.

    Args:
        sizes: number of examples of each source.
        shares: of each source; they sum to 1.
        draws: examples to draw in all, as if from position 0.
        seed: of the permutations; the sources of the draws do not hang on it.
        start: position to go on from.
        reference: sources that take over when all others are capped.
        max_epochs: most epochs over a source; None: no cap.
        rank: number of this process, from 0.
        world_size: number of processes; this one takes every `world_size`-th draw, from `rank` on; positions stay
            global.

    Raises:
        ConfigError: shares that do not sum to 1.
        ValueError: a source with a share but no example, or positions out of order.

    Examples:
        >>> sampler = MixtureSampler({"en": 100, "sw": 10}, {"en": 0.5, "sw": 0.5}, draws=8)
        >>> sorted(index >= 100 for index in sampler)  # those of sw come after those of en
        [False, False, False, False, True, True, True, True]
        >>> list(sampler)[6:] == list(MixtureSampler({"en": 100, "sw": 10}, {"en": 0.5, "sw": 0.5}, draws=8, start=6))
        True
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
    ) -> None:
        if not 0 <= start <= draws or not 0 <= rank < world_size:
            raise ValueError(
                f"a sampler needs 0 <= start <= draws and 0 <= rank < world_size, but got start={start}, "
                f"draws={draws}, rank={rank}, world_size={world_size}"
            )
        unknown = [name for name in shares if name not in sizes]
        if unknown:
            raise ValueError(f"shares name {unknown[0]}, which has no size; known: {', '.join(sizes)}")
        mixture = Mixture(shares=shares, sizes=dict(sizes), reference=frozenset(reference), max_epochs=max_epochs)
        self.stream = MixtureStream(mixture, seed)
        self._draws, self._start, self._rank, self._world = draws, start, rank, world_size
        self._offsets, total = {}, 0
        for name in self.stream.sources:
            self._offsets[name] = total
            total += sizes[name]

    def __iter__(self) -> Iterator[int]:
        for begin in range(self._start, self._draws, CHUNK):
            end = min(begin + CHUNK, self._draws)
            source, index = self.stream.take(begin, end)
            for position in range(begin, end):
                if position % self._world == self._rank:
                    place = position - begin
                    yield self._offsets[self.stream.sources[source[place]]] + int(index[place])

    def __len__(self) -> int:
        mine = lambda stop: (stop - self._rank + self._world - 1) // self._world  # noqa: E731
        return mine(self._draws) - mine(self._start)

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
