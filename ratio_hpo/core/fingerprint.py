"""Identity is content: SHA-256 over a canonical JSON form."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from enum import Enum
from pathlib import Path
from typing import Any

LENGTH = 16


def canonical(value: Any) -> Any:
    """The stable JSON form of `value`.

    Raises:
        TypeError: for what has no stable form (sets, functions, NaN, arbitrary objects).
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"a fingerprint needs finite numbers, but got {value}")
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"a fingerprint needs mappings with text keys, but got {list(value)[:3]}")
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no stable form to fingerprint")


def fingerprint(value: Any, *, parents: tuple[str, ...] | list[str] = ()) -> str:
    """A hexadecimal name of `value` and of what it grew from, 16 characters long."""
    text = json.dumps([canonical(value), list(parents)], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def fingerprint_file(path: Path) -> str:
    """A hexadecimal name of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


def unit_hash(*parts: str | int) -> float:
    """A number in [0, 1) that depends on `parts` alone, uniform over different parts."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def integer_hash(*parts: str | int) -> int:
    """A 63-bit integer that depends on `parts` alone: the seed of a generator at a position."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
