"""The printed JSON: results of commands by their fields.

Every reading command prints JSON on stdout with `--json` (`export` with `--format json`; `report` and `plot` only
write files). Messages go to stderr. Costs are in the study's unit, scores in [0, 1], times in seconds. JSON has no
infinity: a cost to target that was never reached is `null` with `censored: true`. Measured numbers have four
significant digits, parameters and shares six; whole numbers are exact. `export trials`, `export curves` and `export
config` write all digits.

Every result has the key `schema`, the number of the format. It is raised when a key changes its meaning or is
removed, not when one is added. Exit codes: 0 done, 1 the search or the infrastructure failed, 2 bad input, 3 finished
with failed trials, 130 interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SCHEMA = 5
"""Format number: increased when a key is removed or changes its meaning, not when a key is added."""

DIGITS, EXACT_DIGITS = 4, 6
"""Significant digits of measurements, and of parameters and shares, which may be used for training."""

EXACT = frozenset({"params", "shares", "requested", "config", "space", "parameters"})


class Result:
    """Base class of the results of commands: frozen dataclasses, whose fields are the keys of the printed JSON.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, slots=True, kw_only=True)
        ... class Front(Result):
        ...     points: tuple[float, ...]
        >>> Front(points=(0.5, 0.75)).to_json()["points"]
        [0.5, 0.75]
    """

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON content, with the number of the format."""
        return {"schema": SCHEMA, **plain(self)}


def extended(result_class: type[T], base: Any, **added: object) -> T:
    """Return a result with the fields of another one and more.

    Args:
        result_class: Class of the result; it has all fields of `base`.
        base: The other result.
        added: The other fields of the class.
    """
    return result_class(**{field.name: getattr(base, field.name) for field in fields(base)}, **added)


def plain(value: Any) -> Any:
    """Return a value as JSON content: dataclasses become mappings by field, and sequences become lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def rounded(content: Any, key: str = "", *, digits: int = DIGITS) -> Any:
    """Return the content with its numbers rounded to significant digits; whole numbers become integers.

    Examples:
        >>> rounded({"score": 0.834166666, "cost": 3840.0, "params": {"learning_rate": 0.00123456789}})
        {'score': 0.8342, 'cost': 3840, 'params': {'learning_rate': 0.00123457}}
    """
    digits = EXACT_DIGITS if key in EXACT else digits
    if isinstance(content, Mapping):
        inner = {name: rounded(value, name, digits=digits) for name, value in content.items()}
        return _whole_again(inner) if key == "shares" else inner
    if isinstance(content, list | tuple):
        return [rounded(value, key, digits=digits) for value in content]
    if not isinstance(content, float) or not math.isfinite(content) or content == 0.0:
        return content
    if content.is_integer() and abs(content) > 1.0:
        return int(content)
    return round(content, max(digits - 1 - math.floor(math.log10(abs(content))), 0))


def _whole_again(shares: dict[str, float]) -> dict[str, float]:
    """Return rounded shares that sum to 1; the largest one absorbs the rounding error."""
    if not shares or not all(isinstance(share, float | int) for share in shares.values()):
        return shares
    largest = max(shares, key=lambda name: shares[name])
    others = sum(share for name, share in shares.items() if name != largest)
    return {**shares, largest: round(1.0 - others, EXACT_DIGITS + 3)}
