"""Folders for the time being, which the next process clears away where this one is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "ratio-hpo-"

HELD = ".held"
"""The file in a folder that whoever uses it holds locked."""

YOUNG = 60.0
"""Seconds for which a folder is nobody's but its maker's, who may not have locked it yet."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder in the system's temporary one, gone at the end; those of dead processes go too."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with (folder / HELD).open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what a process that is ending still writes goes with the next sweep


def _sweep() -> None:
    """Remove what processes left that are gone: whose lock is free."""
    for held in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{HELD}"):
        with suppress(OSError):  # another user's, in use, or gone meanwhile
            about = held.stat()
            if about.st_uid != os.geteuid() or time.time() - about.st_mtime < YOUNG:
                continue
            with held.open("r+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(held.parent, ignore_errors=True)
