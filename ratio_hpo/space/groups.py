"""Grouped shares: a simplex over tasks times a simplex over languages, instead of one simplex over all sources.

A source of task t and language l has a share proportional to a_t b_l, over the (task, language) pairs that exist; a and
b are each uniform on their simplex. The inverse is the quasi-independence fit by iterative scaling (Bishop, Fienberg
and Holland 1975, section 5.2). It is exact for shares of this form, and the maximum-likelihood fit for other shares.
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
"""Limits of the fit, which is slow if shares are 0: maximum rounds, convergence, and tolerance of `contains`."""

LEAST = 1e-9
"""Share that is added to each group if the groups with a share have no source in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """Shares of the sources by their task, by their language, or by both.

    Attributes:
        by: keys of the groups; sources in the same group have equal shares.
        sources: task and language of each source; empty for the experiment's sources, which `with_sources` sets.

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
            raise ValueError(
                f"grouped needs two or more groups by {' and '.join(self.by)}; add sources or remove the parameter"
            )

    def with_sources(self, sources: Mapping[str, tuple[str, str]]) -> Grouped:
        """Return this domain over `sources`, unless it already has sources."""
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
        group_indices, sharing = self._group_indices()
        weights = _product(parts, group_indices, sharing)
        if weights.sum() <= 0.0:
            weights = _product([part + LEAST for part in parts], group_indices, sharing)
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
        """Return, for each key, the names of the groups and the group of each source [sources]."""
        groups = []
        for key in self.by:
            labels = [pair[0 if key == "task" else 1] for pair in self.sources.values()]
            names = sorted(set(labels))
            groups.append((names, np.array([names.index(name) for name in labels], dtype=np.int64)))
        return groups

    def _group_indices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the groups of each source [keys, sources], and the number of sources in the same groups [sources]."""
        group_indices = np.stack([group_indices for _, group_indices in self._groups()])
        _, cell, count = np.unique(group_indices, axis=1, return_inverse=True, return_counts=True)
        return group_indices, count[cell.reshape(-1)]

    def _fit(self, shares: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Fit the shares of groups to shares of sources [sources]."""
        groups, (group_indices, sharing) = self._groups(), self._group_indices()
        parts = [np.full(len(names), 1.0 / len(names)) for names, _ in groups]
        for _ in range(ROUNDS):
            before = [part.copy() for part in parts]
            for k, (names, group_of_source) in enumerate(groups):
                weights = _product(parts, group_indices, sharing)
                fitted, target = (
                    np.bincount(group_of_source, x, len(names)) for x in (weights / weights.sum(), shares)
                )
                parts[k] = parts[k] * np.divide(target, fitted, out=np.zeros(len(names)), where=fitted > 0)
                parts[k] = parts[k] / parts[k].sum()
            if max(float(np.abs(a - b).max()) for a, b in zip(parts, before, strict=True)) < SETTLED:
                break
        return parts


def _product(
    parts: Sequence[NDArray[np.float64]], group_indices: NDArray[np.int64], sharing: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the product of group shares for each source [sources], divided evenly among sources in the same groups.

    Args:
        parts: shares of the groups of each key.
        group_indices, sharing: the result of `_group_indices`.
    """
    weights = np.ones(group_indices.shape[1])
    for part, group_of_source in zip(parts, group_indices, strict=True):
        weights = weights * part[group_of_source]
    return weights / sharing


def _bounds(count: int) -> tuple[simplex.Vector, simplex.Vector]:
    return np.zeros(count), np.ones(count)
