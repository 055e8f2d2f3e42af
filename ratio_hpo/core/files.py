"""Files that are there whole or not at all, and what they weigh."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FAULTS: list[Callable[[Path], None]] = []
"""Called with the name of whatever is about to be written: a test makes them raise what a disk would."""


@contextmanager
def written_whole(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A path beside `target` to write a file or a folder to, renamed into its place when the block ends well.

    The temporary name begins with a dot and names the process, so that a sweep can tell what a killed one left. What is
    renamed is on the disk: it survives a power cut whole, or is not there.

    Args:
        replace: take the place of a folder that is there; without it, one that another process has just finished
            stays, and ours goes. A file always takes the place of one that is there.

    Raises:
        OSError: it cannot be written or renamed; nothing half-written remains.
    """
    temporary = target.with_name(f".{target.name}-{os.getpid()}-{threading.get_native_id()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(temporary)
    try:
        for fault in FAULTS:
            fault(target)
        yield temporary
        _sync(temporary)
        if temporary.is_dir():
            _put_folder(temporary, target, replace=replace)
        else:
            temporary.replace(target)
        _sync_entry(target.parent)
    finally:
        remove(temporary)


def _sync(path: Path) -> None:
    """Have the disk hold a file, or all that a folder holds."""
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        _sync_entry(each)


def _sync_entry(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot; others do
            raise
    finally:
        os.close(handle)


def _put_folder(temporary: Path, target: Path, *, replace: bool) -> None:
    if replace:
        remove(target)
    try:
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # else another process has just finished the same
            raise


def remove(path: Path) -> None:
    """Delete a file or a folder, or what of it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or what one may use of it, is full, however a library has wrapped it."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


@contextmanager
def unless_disk_is_full() -> Iterator[None]:
    """What is done in the block is left undone where the disk is full; any other error is raised.

    Raises:
        OSError: for another reason.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise


def folder_size(folder: Path) -> int:
    """Bytes that a folder holds; 0 where there is none."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # deleted meanwhile
            total += path.stat().st_size if path.is_file() else 0
    return total


def is_regular(path: Path) -> bool:
    """Whether it is a plain file: reading a pipe or a device could wait for ever."""
    return stat.S_ISREG(path.stat().st_mode)
