"""Shares by groups of sources: a small simplex over tasks times one over languages, in place of one over all sources.

A source of task t and language l has a share proportional to a_t b_l, of those (task, language) pairs that exist; a
and b are each uniform on their simplex. Its inverse is the fit of quasi-independence by iterative scaling (Bishop,
Fienberg and Holland 1975, section 5.2): exact where shares are such a product, the nearest in likelihood elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from ratio_hpo.space import simplex

Key = Literal["task", "language"]

ROUNDS, SETTLED, CLOSE = 2000, 1e-14, 1e-3
"""Of the fit, which is slow where shares are 0: shares this close to a product are one."""

LEAST = 1e-9
"""What a group counts as where the groups that have a share have no source in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """Shares of the sources by their task, by their language, or by both.

    Attributes:
        by: what they are grouped by; sources of one group share it evenly.
        sources: task and language of each source; empty: those of the experiment, put in by `with_sources`.

    Examples:
        >>> sources = {"qa.en": ("qa", "en"), "qa.sw": ("qa", "sw"), "nli.en": ("nli", "en")}
        >>> domain = Grouped(sources=sources)
        >>> domain.dimensions, round(sum(domain.decode((0.3, 0.6)).values()), 9)
        (2, 1.0)
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    by: tuple[Key, ...] = ("task", "language")
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.by or len(set(self.by)) != len(self.by):
            raise ValueError(f"grouped needs `by` of task, language or both, but got {list(self.by)}; correct it")
        if self.sources and self.dimensions == 0:
            raise ValueError(f"grouped needs two or more groups by {' and '.join(self.by)}; add sources, or drop it")

    def with_sources(self, sources: Mapping[str, tuple[str, str]]) -> Grouped:
        """This domain over `sources`, where it has none of its own."""
        return self if self.sources else replace(self, sources=dict(sorted(sources.items())))

    @property
    def dimensions(self) -> int:
        return sum(max(len(names) - 1, 0) for names, _ in self._groups())

    def encode(self, value: Mapping[str, float]) -> tuple[float, ...]:
        shares = np.array([max(value.get(name, 0.0), 0.0) for name in self.sources])
        shares = shares / shares.sum() if shares.sum() > 0 else np.full(len(shares), 1.0 / max(len(shares), 1))
        cube: list[float] = []
        for (names, _), group in zip(self._groups(), self._fit(shares), strict=True):
            cube += simplex.to_cube(group.tolist(), *_bounds(len(names)))
        return tuple(cube)

    def decode(self, cube: tuple[float, ...]) -> dict[str, float]:
        parts: list[NDArray[np.float64]] = []
        begin = 0
        for names, _ in self._groups():
            end = begin + max(len(names) - 1, 0)
            parts.append(np.asarray(simplex.from_cube(cube[begin:end], *_bounds(len(names)))))
            begin = end
        of, sharing = self._places()
        weights = _product(parts, of, sharing)
        if weights.sum() <= 0.0:
            weights = _product([part + LEAST for part in parts], of, sharing)
        return dict(zip(self.sources, (weights / weights.sum()).tolist(), strict=True))

    def contains(self, value: Any) -> bool:
        if not isinstance(value, Mapping) or set(value) - set(self.sources):
            return False
        shares = [value.get(name, 0.0) for name in self.sources]
        if min(shares) < 0.0 or abs(sum(shares) - 1.0) > simplex.TOLERANCE:
            return False
        nearest = self.decode(self.encode(value))
        return max(abs(value.get(name, 0.0) - share) for name, share in nearest.items()) <= CLOSE

    def resolve(self, reference: float | None) -> Grouped:
        return self

    def describe(self) -> str:
        return " times ".join(f"shares by {key}" for key in self.by)

    def _groups(self) -> list[tuple[list[str], NDArray[np.int64]]]:
        """Names of the groups of each key, and the group of each source [sources]."""
        found = []
        for key in self.by:
            of = [pair[0 if key == "task" else 1] for pair in self.sources.values()]
            names = sorted(set(of))
            found.append((names, np.array([names.index(name) for name in of], dtype=np.int64)))
        return found

    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The group of each source by each key [keys, sources], and how many share all of them with it [sources]."""
        of = np.stack([of for _, of in self._groups()])
        _, cell, count = np.unique(of, axis=1, return_inverse=True, return_counts=True)
        return of, count[cell.reshape(-1)]

    def _fit(self, shares: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """The shares of groups whose product comes nearest to shares of sources [sources]."""
        groups, (places, sharing) = self._groups(), self._places()
        parts = [np.full(len(names), 1.0 / len(names)) for names, _ in groups]
        for _ in range(ROUNDS):
            before = [part.copy() for part in parts]
            for k, (names, of) in enumerate(groups):
                weights = _product(parts, places, sharing)
                made, wanted = (np.bincount(of, x, len(names)) for x in (weights / weights.sum(), shares))
                parts[k] = parts[k] * np.divide(wanted, made, out=np.zeros(len(names)), where=made > 0)
                parts[k] = parts[k] / parts[k].sum()
            if max(float(np.abs(a - b).max()) for a, b in zip(parts, before, strict=True)) < SETTLED:
                break
        return parts


def _product(
    parts: Sequence[NDArray[np.float64]], of: NDArray[np.int64], sharing: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The product of its groups' shares, of each source [sources]; those that share all groups share it evenly.

    Args:
        of, sharing: as `_places` gives them.
    """
    weights = np.ones(of.shape[1])
    for part, place in zip(parts, of, strict=True):
        weights = weights * part[place]
    return weights / sharing


def _bounds(count: int) -> tuple[simplex.Vector, simplex.Vector]:
    return np.zeros(count), np.ones(count)
