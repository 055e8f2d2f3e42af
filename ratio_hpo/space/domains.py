"""Domains: frozen values that know their bounds and their place in the unit cube.

Each is one dataclass with `encode` and `decode`, registered in `DOMAINS`. Scale-bearing domains (`Steps`,
`LogUniform`, `Uniform`) hold factors of the experiment's reference value until `resolve` makes them absolute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from pydantic import ConfigDict, Strict

from ratio_hpo.core.config import Real, Whole
from ratio_hpo.space import simplex

Scalar = Annotated[bool, Strict()] | Whole | Real | Annotated[str, Strict()]
STRICT = ConfigDict(extra="forbid")


@runtime_checkable
class Domain(Protocol):
    """The values that one parameter may take."""

    @property
    def dimensions(self) -> int:
        """Number of unit-cube coordinates."""
        ...

    def encode(self, value: Any) -> tuple[float, ...]:
        """Coordinates in [0, 1] of a value; a value outside is taken to the nearest one inside."""
        ...

    def decode(self, cube: tuple[float, ...]) -> Any:
        """The value at coordinates in [0, 1]."""
        ...

    def contains(self, value: Any) -> bool:
        """Whether the domain holds `value`."""
        ...

    def resolve(self, reference: float | None) -> Domain:
        """This domain in absolute values, given the experiment's reference value."""
        ...

    def describe(self) -> str:
        """The domain in a few words, for tables."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The total share of the non-English sources: a number in [low, high] within [0, 1]."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    low: Real = 0.0
    high: Real = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.low < self.high <= 1.0:
            raise ValueError(f"ratio needs 0 <= low < high <= 1, but got low={self.low}, high={self.high}; swap or widen")

    dimensions: ClassVar[int] = 1

    def encode(self, value: float) -> tuple[float, ...]:
        return (_clip((value - self.low) / (self.high - self.low)),)

    def decode(self, cube: tuple[float, ...]) -> float:
        return min(self.low + cube[0] * (self.high - self.low), self.high)

    def contains(self, value: Any) -> bool:
        return _is_number(value) and self.low <= value <= self.high

    def resolve(self, reference: float | None) -> Ratio:
        return self

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """A number in [low, high], uniform; factors of the reference value unless `absolute`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    low: Real
    high: Real
    absolute: Annotated[bool, Strict()] = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"uniform needs low < high, but got low={self.low}, high={self.high}; swap them")

    dimensions: ClassVar[int] = 1

    def encode(self, value: float) -> tuple[float, ...]:
        return (_clip((value - self.low) / (self.high - self.low)),)

    def decode(self, cube: tuple[float, ...]) -> float:
        return min(self.low + cube[0] * (self.high - self.low), self.high)

    def contains(self, value: Any) -> bool:
        return _is_number(value) and self.low <= value <= self.high

    def resolve(self, reference: float | None) -> Uniform:
        factor = _factor(self, reference)
        return replace(self, low=self.low * factor, high=self.high * factor, absolute=True)

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}]{_unit(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUniform:
    """A positive number in [low, high], uniform in its logarithm; factors of the reference unless `absolute`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    low: Real
    high: Real
    absolute: Annotated[bool, Strict()] = False

    def __post_init__(self) -> None:
        if not 0.0 < self.low < self.high:
            raise ValueError(f"log_uniform needs 0 < low < high, but got low={self.low}, high={self.high}; correct them")

    dimensions: ClassVar[int] = 1

    def encode(self, value: float) -> tuple[float, ...]:
        if value <= self.low:
            return (0.0,)
        return (_clip(math.log(value / self.low) / math.log(self.high / self.low)),)

    def decode(self, cube: tuple[float, ...]) -> float:
        value = self.low * math.exp(cube[0] * math.log(self.high / self.low))
        return min(max(value, self.low), self.high)

    def contains(self, value: Any) -> bool:
        return _is_number(value) and self.low <= value <= self.high

    def resolve(self, reference: float | None) -> LogUniform:
        factor = _factor(self, reference)
        return replace(self, low=self.low * factor, high=self.high * factor, absolute=True)

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}] log{_unit(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """One of a few numbers of steps, in rising order; factors of the reference number unless `absolute`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    values: tuple[Real, ...]
    absolute: Annotated[bool, Strict()] = False

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.values, self.values[1:], strict=False))
        if not self.values or not rising or self.values[0] <= 0:
            raise ValueError(f"steps needs rising values over 0, but got {list(self.values)}; sort and correct them")
        if self.absolute and any(value != int(value) for value in self.values):
            raise ValueError(f"absolute steps needs whole numbers, but got {list(self.values)}; round them")

    dimensions: ClassVar[int] = 1

    def encode(self, value: float) -> tuple[float, ...]:
        nearest = min(range(len(self.values)), key=lambda k: abs(math.log(self.values[k] / value)))
        return ((nearest + 0.5) / len(self.values),)

    def decode(self, cube: tuple[float, ...]) -> int | float:
        value = self.values[min(int(cube[0] * len(self.values)), len(self.values) - 1)]
        return int(value) if self.absolute else value

    def contains(self, value: Any) -> bool:
        return value in self.values

    def resolve(self, reference: float | None) -> Steps:
        factor = _factor(self, reference)
        counts = sorted({max(1, round(value * factor)) for value in self.values})
        return replace(self, values=tuple(float(count) for count in counts), absolute=True)

    def describe(self) -> str:
        return f"{{{', '.join(f'{value:g}' for value in self.values)}}}{_unit(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a few unordered values."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    options: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if len(self.options) < 1 or len(set(self.options)) != len(self.options):
            raise ValueError(f"choice needs different options, but got {list(self.options)}; drop the repeated ones")

    dimensions: ClassVar[int] = 1

    def encode(self, value: Any) -> tuple[float, ...]:
        index = self.options.index(value) if value in self.options else 0
        return ((index + 0.5) / len(self.options),)

    def decode(self, cube: tuple[float, ...]) -> Any:
        return self.options[min(int(cube[0] * len(self.options)), len(self.options) - 1)]

    def contains(self, value: Any) -> bool:
        return value in self.options

    def resolve(self, reference: float | None) -> Choice:
        return self

    def describe(self) -> str:
        return f"{{{', '.join(str(option) for option in self.options)}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simplex:
    """Named shares that sum to 1, each within its bounds.

    Attributes:
        parts: K >= 2 names; empty: the sources of the experiment, put in by `with_parts`.
        low, high: bounds by name; without one, 0 and 1.
        grid: shares are multiples of 1/grid.
        presence: shares under it become exactly zero.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    parts: tuple[Annotated[str, Strict()], ...] = ()
    low: dict[str, Real] | None = None
    high: dict[str, Real] | None = None
    grid: Whole | None = None
    presence: Real | None = None

    def __post_init__(self) -> None:
        low, high = self.low or {}, self.high or {}
        for name in (*low, *high):
            least, most = low.get(name, 0.0), high.get(name, 1.0)
            if not 0.0 <= least <= most <= 1.0:
                raise ValueError(f"simplex needs 0 <= low <= high <= 1, but {name} has low={least}, high={most}; correct them")
        if sum(low.values()) > 1.0 + simplex.TOLERANCE:
            raise ValueError(f"shares must sum to 1, but the lower bounds alone sum to {sum(low.values()):g}; lower them")
        if self.grid is not None and self.grid < 1:
            raise ValueError(f"simplex needs grid >= 1, but got {self.grid}; leave it out for none")
        if self.presence is not None and not 0.0 < self.presence < 0.5:
            raise ValueError(f"simplex needs 0 < presence < 0.5, but got {self.presence}; leave it out for none")
        if self.grid and self.presence and self.presence * self.grid > 1.0 + simplex.TOLERANCE:
            raise ValueError(f"simplex needs presence <= 1/grid, but got {self.presence} and 1/{self.grid}; lower presence")
        if self.parts:
            self._check_parts()

    def _check_parts(self) -> None:
        if len(self.parts) < 2 or len(set(self.parts)) != len(self.parts):
            raise ValueError(f"simplex needs two or more different parts, but got {list(self.parts)}; correct them")
        unknown = [name for name in {**(self.low or {}), **(self.high or {})} if name not in self.parts]
        if unknown:
            raise ValueError(f"simplex bounds name {unknown[0]}, which is none of its parts {list(self.parts)}; correct it")
        low, high = self._bounds()
        if high.sum() < 1.0 - simplex.TOLERANCE:
            raise ValueError(f"shares must sum to 1, but the upper bounds sum to {high.sum():g}; raise them")
        if self.grid:
            least = np.ceil(low * self.grid - simplex.TOLERANCE).sum()
            most = np.floor(high * self.grid + simplex.TOLERANCE).sum()
            if not least <= self.grid <= most:
                raise ValueError(f"no shares on a grid of 1/{self.grid} lie within the bounds; refine the grid")

    def with_parts(self, parts: tuple[str, ...]) -> Simplex:
        """This simplex over `parts`, where it names none of its own."""
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
        """The shares moved to the grid and with explicit zeros, where the simplex has them. Idempotent."""
        low, high = self._bounds()
        shares = np.array([value[name] for name in self.parts])
        if self.presence:
            shares = simplex.project_presence(shares, self.presence, low, high)
        if self.grid:
            shares = simplex.project_grid(shares, self.grid, low, np.where(shares > 0.0, high, low))
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

    def _bounds(self) -> tuple[simplex.Vector, simplex.Vector]:
        low = np.array([(self.low or {}).get(name, 0.0) for name in self.parts])
        high = np.array([(self.high or {}).get(name, 1.0) for name in self.parts])
        return low, high


DOMAINS: dict[str, type] = {
    "ratio": Ratio,
    "simplex": Simplex,
    "log_uniform": LogUniform,
    "uniform": Uniform,
    "steps": Steps,
    "choice": Choice,
}


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _factor(domain: Uniform | LogUniform | Steps, reference: float | None) -> float:
    if domain.absolute:
        return 1.0
    if reference is None:
        raise ValueError("holds factors, but the experiment gives no reference value; add it, or say `absolute: true`")
    return float(reference)


def _unit(domain: Uniform | LogUniform | Steps) -> str:
    return "" if domain.absolute else " x reference"
