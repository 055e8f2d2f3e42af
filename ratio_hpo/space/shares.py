"""The simplex as a domain: named shares that sum to 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Strict

from ratio_hpo.core.yaml import Real, Whole
from ratio_hpo.space import simplex


@dataclass(frozen=True, slots=True, kw_only=True)
class Simplex:
    """Named shares that sum to 1, each within its bounds.

    Coordinates that are uniform in the cube give shares that are uniform within the bounds (the flat Dirichlet
    distribution, truncated to the bounds). `grid` and `presence` are applied afterwards.

    Attributes:
        parts: K >= 2 names; empty for the experiment's sources, which `with_parts` sets. They are sorted by their
            bounds, then by name, so the order in a file has no effect.
        low, high: bounds by name; the defaults are 0 and 1.
        grid: shares are multiples of 1/grid.
        presence: shares below this become exactly zero.

    Examples:
        >>> domain = Simplex(parts=("en", "fi", "sw"), low={"en": 0.2})
        >>> shares = domain.decode((0.5, 0.5))
        >>> round(sum(shares.values()), 9), shares["en"] >= 0.2
        (1.0, True)
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    parts: tuple[Annotated[str, Strict()], ...] = ()
    low: dict[str, Real] | None = None
    high: dict[str, Real] | None = None
    grid: Whole | None = None
    presence: Real | None = None

    def __post_init__(self) -> None:
        low, high = self.low or {}, self.high or {}
        for name in (*low, *high):
            lower, upper = low.get(name, 0.0), high.get(name, 1.0)
            if not 0.0 <= lower <= upper <= 1.0:
                raise ValueError(
                    f"simplex needs 0 <= low <= high <= 1, but {name} has low={lower}, high={upper}; correct them"
                )
        if sum(low.values()) > 1.0 + simplex.TOLERANCE:
            raise ValueError(f"shares must sum to 1, but the lower bounds sum to {sum(low.values()):g}; lower them")
        if self.grid is not None and self.grid < 1:
            raise ValueError(f"simplex needs grid >= 1, but got {self.grid}; raise it, or remove it for no grid")
        if self.presence is not None and not 0.0 < self.presence < 0.5:
            raise ValueError(f"simplex needs 0 < presence < 0.5, but got {self.presence}; correct or remove it")
        if self.grid and self.presence and self.presence * self.grid > 1.0 + simplex.TOLERANCE:
            raise ValueError(
                f"simplex needs presence <= 1/grid, but got {self.presence} and 1/{self.grid}; lower presence"
            )
        if self.parts:
            self._check_parts()
            object.__setattr__(
                self, "parts", tuple(sorted(self.parts, key=lambda name: (*self._bounds_of(name), name)))
            )

    def _check_parts(self) -> None:
        if len(self.parts) < 2 or len(set(self.parts)) != len(self.parts):
            raise ValueError(f"simplex needs two or more distinct parts, but got {list(self.parts)}; correct them")
        unknown = [name for name in {**(self.low or {}), **(self.high or {})} if name not in self.parts]
        if unknown:
            raise ValueError(f"simplex bounds name an unknown part {unknown[0]}; known: {', '.join(self.parts)}")
        low, high = self._bounds()
        if high.sum() < 1.0 - simplex.TOLERANCE:
            raise ValueError(f"shares must sum to 1, but the upper bounds sum to {high.sum():g}; raise them")
        if self.grid:
            least = np.ceil(low * self.grid - simplex.TOLERANCE).sum()
            most = np.floor(high * self.grid + simplex.TOLERANCE).sum()
            if not least <= self.grid <= most:
                raise ValueError(f"simplex has no shares on a grid of 1/{self.grid} within the bounds; refine the grid")

    def with_parts(self, parts: tuple[str, ...]) -> Simplex:
        """Return this simplex over `parts`, unless it already names parts."""
        return self if self.parts else replace(self, parts=parts)

    @property
    def dimensions(self) -> int:
        return max(len(self.parts) - 1, 0)

    def encode(self, value: Mapping[str, float]) -> tuple[float, ...]:
        low, high = self._bounds()
        shares = np.clip([value.get(name, 0.0) for name in self.parts], low, high)
        return simplex.to_cube(list(shares), low, high)

    def decode(self, cube: tuple[float, ...]) -> dict[str, float]:
        low, high = self._bounds()
        return self.project(dict(zip(self.parts, simplex.from_cube(cube, low, high).tolist(), strict=True)))

    def project(self, value: Mapping[str, float]) -> dict[str, float]:
        """Return shares with `presence` and `grid` applied, if the simplex has them. Idempotent."""
        low, high = self._bounds()
        shares = np.array([value[name] for name in self.parts])
        if self.presence:
            reachable = np.floor(high * self.grid + simplex.TOLERANCE) / self.grid if self.grid else high
            shares = simplex.project_presence(shares, self.presence, low, reachable)
        if self.grid:
            without_zeros = np.where(shares > 0.0, high, low) if self.presence else high
            enough = np.floor(without_zeros * self.grid + simplex.TOLERANCE).sum() >= self.grid
            shares = simplex.project_grid(shares, self.grid, low, without_zeros if enough else high)
        return dict(zip(self.parts, shares.tolist(), strict=True))

    def contains(self, value: Any) -> bool:
        if not isinstance(value, Mapping) or set(value) - set(self.parts):
            return False
        low, high = self._bounds()
        shares = np.array([value.get(name, 0.0) for name in self.parts])
        inside = np.all(shares >= low - simplex.TOLERANCE) and np.all(shares <= high + simplex.TOLERANCE)
        return bool(inside and abs(shares.sum() - 1.0) <= simplex.TOLERANCE)

    def resolve(self, reference: float | None) -> Simplex:
        return self

    def describe(self) -> str:
        extras = [f"grid 1/{self.grid}" if self.grid else "", f"presence {self.presence:g}" if self.presence else ""]
        names = ", ".join(self.parts) if self.parts else "all sources"
        return "; ".join([f"shares of {names}", *(extra for extra in extras if extra)])

    def _bounds_of(self, name: str) -> tuple[float, float]:
        return (self.low or {}).get(name, 0.0), (self.high or {}).get(name, 1.0)

    def _bounds(self) -> tuple[simplex.Vector, simplex.Vector]:
        low, high = zip(*(self._bounds_of(name) for name in self.parts), strict=True)
        return np.array(low), np.array(high)
