"""Temporary folders; the next process removes those of killed processes."""

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
"""Lock file in a folder, locked by the process that uses the folder."""

YOUNG = 60.0
"""Minimum age of a folder, in seconds, before it is removed: its creator may not have locked it yet."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Create a temporary folder and delete it at the end; also delete the folders of dead processes."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with (folder / HELD).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # the next sweep removes what is written meanwhile


def _sweep() -> None:
    """Remove the folders whose lock is free: their processes are dead."""
    for lock_file in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{HELD}"):
        with suppress(OSError):  # owned by another user, in use, or deleted meanwhile
            status = lock_file.stat()
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < YOUNG:
                continue
            with lock_file.open("r+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock_file.parent, ignore_errors=True)
