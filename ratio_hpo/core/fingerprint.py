"""Content-based identity: SHA-256 over a canonical JSON form."""

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
"""A commit hash, which pins a revision on the Hugging Face Hub; branches and tags can move."""

SETTLED = 2.0
"""Minimum age in seconds of a file's last change before its checksum is cached.

Within the resolution of the clock, a second change would keep the same time stamp.
"""


def canonical(value: Any) -> Any:
    """Return the stable JSON form of `value`.

    Raises:
        TypeError: If it has no stable form (sets, functions, NaN, arbitrary objects).
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
    """Return a hexadecimal fingerprint of `value` and its parents, 16 characters long."""
    text = json.dumps([canonical(value), list(parents)], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def fingerprint_file(path: Path) -> str:
    """Return the hexadecimal fingerprint of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


@dataclasses.dataclass(frozen=True, slots=True)
class Digests:
    """Cached checksums of large files, valid while size, modification time and inode are unchanged.

    Attributes:
        file: The cache file; None: no cache.
    """

    file: Path | None = None

    def of(self, paths: Sequence[Path]) -> list[str]:
        """Return `fingerprint_file` of each path; unchanged files are not read again."""
        cached = self._read()
        checksums, added = [], False
        for path in paths:
            state = path.stat()
            full_path, version = str(path.resolve()), [state.st_size, state.st_mtime_ns, state.st_ino]
            entry = cached.get(full_path)
            if not isinstance(entry, list) or entry[:3] != version:
                entry = [*version, fingerprint_file(path)]
                if time.time() - state.st_mtime > SETTLED:
                    cached[full_path], added = entry, True
            checksums.append(str(entry[3]))
        if added and self.file is not None:
            with suppress(OSError), written_whole(self.file) as part:  # without a cache, only time is lost
                part.write_text(json.dumps({"sum": fingerprint(cached), "kept": cached}))
        return checksums

    def _read(self) -> dict[str, Any]:
        if self.file is None:
            return {}
        try:
            content = json.loads(self.file.read_text())
            cached = content["kept"]
            is_whole = isinstance(cached, dict) and content["sum"] == fingerprint(cached)
        except (OSError, ValueError, TypeError, KeyError):
            return {}
        return cached if is_whole else {}


def unit_hash(*parts: str | int) -> float:
    """Return a number in [0, 1) that depends only on `parts`, uniform over different parts."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def integer_hash(*parts: str | int) -> int:
    """Return a 63-bit integer that depends only on `parts`, to seed a generator at a position."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
