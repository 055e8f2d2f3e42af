"""The form of what is printed as JSON, and how long its numbers are; docs/json.md describes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SCHEMA = 4
"""Raised when a key goes or changes its meaning; new keys leave it as it is."""

DIGITS, EXACT_DIGITS = 4, 6
"""Significant digits of what was measured, and of parameters and shares that somebody may train with."""

EXACT = frozenset({"params", "shares", "requested", "config", "space", "parameters"})


def rounded(content: Any, key: str = "", *, digits: int = DIGITS) -> Any:
    """The content with its numbers as long as they mean something; whole numbers stay whole.

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


def _whole_again(shares: dict[str, Any]) -> dict[str, Any]:
    """Rounded shares that still sum to 1: the largest takes what rounding lost."""
    if not shares or not all(isinstance(share, float | int) for share in shares.values()):
        return shares
    largest = max(shares, key=lambda name: shares[name])
    others = sum(share for name, share in shares.items() if name != largest)
    return {**shares, largest: round(1.0 - others, EXACT_DIGITS + 3)}
