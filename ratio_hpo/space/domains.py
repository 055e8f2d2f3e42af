"""Domains of parameters: bounds, and the mapping to the unit cube.

Each domain is a frozen dataclass with `encode` and `decode`, registered in `space.DOMAINS`. Domains with a scale
(`Steps`, `LogUniform`, `Uniform`) hold factors of the experiment's reference value until `resolve` makes them absolute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

from pydantic import ConfigDict, Strict

from ratio_hpo.core.yaml import Real, Whole

Scalar = Annotated[bool, Strict()] | Whole | Real | Annotated[str, Strict()]
STRICT = ConfigDict(extra="forbid")


@runtime_checkable
class Domain(Protocol):
    """The set of values of one parameter."""

    @property
    def dimensions(self) -> int:
        """Number of unit-cube coordinates."""
        ...

    def encode(self, value: Any) -> tuple[float, ...]:
        """Return the coordinates in [0, 1] of a value; values outside the domain map to the nearest value inside."""
        ...

    def decode(self, cube: tuple[float, ...]) -> Any:
        """Return the value at coordinates in [0, 1]."""
        ...

    def contains(self, value: Any) -> bool:
        """Return whether the domain contains `value`."""
        ...

    def resolve(self, reference: float | None) -> Domain:
        """Return this domain in absolute values, given the experiment's reference value."""
        ...

    def describe(self) -> str:
        """Return a short description of the domain, for tables and messages."""
        ...


class _Interval:
    """Numbers from `low` to `high`, mapped linearly to one coordinate."""

    __slots__ = ()
    low: float
    high: float

    @property
    def dimensions(self) -> int:
        return 1

    def encode(self, value: float) -> tuple[float, ...]:
        return (_clip((value - self.low) / (self.high - self.low)),)

    def decode(self, cube: tuple[float, ...]) -> float:
        return min(self.low + cube[0] * (self.high - self.low), self.high)

    def contains(self, value: Any) -> bool:
        return _is_number(value) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio(_Interval):
    """The total share of the non-reference sources: a number in [low, high] within [0, 1].

    Attributes:
        low: smallest ratio.
        high: largest ratio.

    Examples:
        >>> Ratio(low=0.2).decode((0.75,))
        0.8
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    low: Real = 0.0
    high: Real = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.low < self.high <= 1.0:
            raise ValueError(
                f"ratio needs 0 <= low < high <= 1, but got low={self.low}, high={self.high}; correct them"
            )

    def resolve(self, reference: float | None) -> Ratio:
        return self

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(_Interval):
    """A number in [low, high], uniform; bounds are factors of the reference value unless `absolute`.

    Attributes:
        low: smallest value.
        high: largest value.
        absolute: whether the bounds are values instead of factors of the reference value.

    Examples:
        >>> Uniform(low=0.5, high=1.5).resolve(0.1).decode((0.5,))
        0.1
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    low: Real
    high: Real
    absolute: Annotated[bool, Strict()] = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"uniform needs low < high, but got low={self.low}, high={self.high}; swap them")

    def resolve(self, reference: float | None) -> Uniform:
        factor = _factor(self, reference)
        return replace(self, low=self.low * factor, high=self.high * factor, absolute=True)

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}]{_unit(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUniform(_Interval):
    """A positive number in [low, high], uniform in its logarithm; bounds are factors unless `absolute`.

    Attributes:
        low: smallest value, above 0.
        high: largest value.
        absolute: whether the bounds are values instead of factors of the reference value.

    Examples:
        >>> domain = LogUniform(low=1e-4, high=1e-2, absolute=True)
        >>> round(domain.decode((0.5,)), 6)
        0.001
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    low: Real
    high: Real
    absolute: Annotated[bool, Strict()] = False

    def __post_init__(self) -> None:
        if not 0.0 < self.low < self.high:
            raise ValueError(
                f"log_uniform needs 0 < low < high, but got low={self.low}, high={self.high}; correct them"
            )

    def encode(self, value: float) -> tuple[float, ...]:
        if value <= self.low:
            return (0.0,)
        return (_clip(math.log(value / self.low) / math.log(self.high / self.low)),)

    def decode(self, cube: tuple[float, ...]) -> float:
        value = self.low * math.exp(cube[0] * math.log(self.high / self.low))
        return min(max(value, self.low), self.high)

    def resolve(self, reference: float | None) -> LogUniform:
        factor = _factor(self, reference)
        return replace(self, low=self.low * factor, high=self.high * factor, absolute=True)

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}] log{_unit(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """One of several numbers of steps, in increasing order; factors of the reference number unless `absolute`.

    Attributes:
        values: numbers of steps, increasing; a factor is rounded to a whole number of steps.
        absolute: whether `values` are whole numbers instead of factors of the reference number.

    Examples:
        >>> Steps(values=(0.5, 1, 2)).resolve(100).decode((0.9,))
        200
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    values: tuple[Real, ...]
    absolute: Annotated[bool, Strict()] = False

    def __post_init__(self) -> None:
        is_increasing = all(a < b for a, b in zip(self.values, self.values[1:], strict=False))
        if not self.values or not is_increasing or self.values[0] <= 0:
            raise ValueError(f"steps needs increasing values over 0, but got {list(self.values)}; correct them")
        if self.absolute and any(value != int(value) for value in self.values):
            raise ValueError(f"steps with `absolute: true` needs integers, but got {list(self.values)}; round them")

    @property
    def dimensions(self) -> int:
        return 1

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
class StepSweep(Steps):
    """Numbers of steps that form a step sweep: each mixture is trained to all of them that may improve the front.

    Examples:
        >>> StepSweep(values=(0.5, 1, 2)).resolve(100).describe()
        'each of {50, 100, 200}'
    """

    def describe(self) -> str:
        return f"each of {Steps.describe(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several unordered values.

    Attributes:
        options: the values, all different.

    Examples:
        >>> Choice(options=("constant", "wsd")).decode((0.7,))
        'wsd'
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    options: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if len(self.options) < 1 or len(set(self.options)) != len(self.options):
            raise ValueError(f"choice needs one or more distinct options, but got {list(self.options)}; correct them")

    @property
    def dimensions(self) -> int:
        return 1

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


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _factor(domain: Uniform | LogUniform | Steps, reference: float | None) -> float:
    if domain.absolute:
        return 1.0
    if reference is None:
        raise ValueError("holds factors, but the experiment gives no reference value; add one or set `absolute: true`")
    return float(reference)


def _unit(domain: Uniform | LogUniform | Steps) -> str:
    return "" if domain.absolute else " x reference"
