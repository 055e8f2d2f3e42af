"""Names that MLflow accepts; it rejects many names that measures, languages and parameters may have."""

from __future__ import annotations

import hashlib
import posixpath
import re

MAX_NAME = 250

REAL_NAME = "name/"
"""Prefix of the tag that holds the real name of a renamed parameter, score or measure."""

_ODD = re.compile(r"[^\w/.\- :]|\n")


def safe_name(name: str) -> str:
    """Return a metric, parameter or tag name that MLflow accepts: the name itself, or a unique replacement.

    Examples:
        >>> safe_name("f1/sw"), safe_name("recall@10/zh (Hans)")
        ('f1/sw', 'recall_10/zh _Hans_-b57068')
    """
    safe = _ODD.sub("_", name)
    path = posixpath.normpath(safe).lstrip("/.") or "_"
    if path == name and len(name) <= MAX_NAME:
        return name
    mark = hashlib.blake2b(name.encode(errors="backslashreplace"), digest_size=3).hexdigest()
    return f"{path[: MAX_NAME - len(REAL_NAME) - len(mark) - 1]}-{mark}"
