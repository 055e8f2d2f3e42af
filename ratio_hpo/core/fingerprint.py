"""Identity is content: SHA-256 over a canonical JSON form."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from ratio_hpo.core.files import written_whole

LENGTH = 16

COMMIT = re.compile(r"[0-9a-f]{40}")
"""What pins something on the hub; branches and tags move."""

SETTLED = 2.0
"""Seconds since its last change after which a file's times tell a later change."""


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


@dataclasses.dataclass(frozen=True, slots=True)
class Digests:
    """Checksums of large files, kept by path with the size, time of change and inode that they were worked out for.

    Attributes:
        file: where they are kept; None: nowhere.
    """

    file: Path | None = None

    def of(self, paths: Sequence[Path]) -> list[str]:
        """`fingerprint_file` of each; a file that has not changed since is not read again."""
        kept = self._read()
        found, added = [], False
        for path in paths:
            state = path.stat()
            place, mark = str(path.resolve()), [state.st_size, state.st_mtime_ns, state.st_ino]
            entry = kept.get(place)
            if not isinstance(entry, list) or entry[:3] != mark:
                entry = [*mark, fingerprint_file(path)]
                if time.time() - state.st_mtime > SETTLED:  # else a change within the clock's grain would pass unseen
                    kept[place], added = entry, True
            found.append(str(entry[3]))
        if added and self.file is not None:
            with suppress(OSError), written_whole(self.file) as part:  # where it cannot be kept, it costs time alone
                part.write_text(json.dumps({"sum": fingerprint(kept), "kept": kept}))
        return found

    def _read(self) -> dict[str, Any]:
        if self.file is None:
            return {}
        try:
            content = json.loads(self.file.read_text())
            kept = content["kept"]
            is_whole = isinstance(kept, dict) and content["sum"] == fingerprint(kept)
        except (OSError, ValueError, TypeError, KeyError):
            return {}
        return kept if is_whole else {}  # else they are worked out anew


def unit_hash(*parts: str | int) -> float:
    """A number in [0, 1) that depends on `parts` alone, uniform over different parts."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def integer_hash(*parts: str | int) -> int:
    """A 63-bit integer that depends on `parts` alone: the seed of a generator at a position."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
