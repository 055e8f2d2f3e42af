"""Atomic writes, faults of the machine, and sizes of files and folders."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ratio_hpo.core.errors import FileFault, WorkBlocked, in_one_line

FAULTS: list[Callable[[Path], None]] = []
"""Hooks called with each path before it is written; tests use them to raise disk errors."""


@contextmanager
def written_whole(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Write a file or a folder atomically.

    Yields a temporary path in the folder of `target`, which is renamed to `target` when the block ends without an
    error. The temporary name begins with a dot and holds the process id, so that a sweep recognises the remains of a
    killed process. Data is synced before the rename: after a power cut, `target` is complete or absent.

    Args:
        replace: Replace an existing folder; otherwise a folder that another process wrote in the meantime is kept and
            this one is discarded. A file always replaces an existing file.

    Raises:
        OSError: If it cannot be written or renamed; nothing partial remains.
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
    """Sync a file, or all content of a folder, to disk."""
    for entry in [*path.rglob("*"), path] if path.is_dir() else [path]:
        _sync_entry(entry)


def _sync_entry(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems do not support syncing
            raise
    finally:
        os.close(handle)


def _put_folder(temporary: Path, target: Path, *, replace: bool) -> None:
    if replace:
        remove(target)
    try:
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another process wrote the same content in the meantime
            raise


def remove(path: Path) -> None:
    """Delete a file or a folder; nothing happens if it is absent."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

FAULTY = DISK_FULL | {
    errno.EIO, errno.ESTALE, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO, errno.ENOLINK, errno.ENOTCONN,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET,
    errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.EUCLEAN, errno.ESHUTDOWN, errno.ENOLCK, errno.EAGAIN,
}  # fmt: skip
"""Error numbers of faults of a disk, a network or a limit of the machine."""

_OS_ERROR = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]|errno:? ?(\d+)", re.IGNORECASE)
"""Error numbers in the messages of libraries with custom exceptions: safetensors (Rust), Python, Arrow."""


def error_numbers(error: BaseException) -> set[int]:
    """Return the operating system error numbers behind an exception, including wrapped ones.

    Examples:
        >>> error_numbers(RuntimeError("I/O error: Disk quota exceeded (os error 122)"))
        {122}
    """
    numbers: set[int] = set()
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.errno is not None:
            numbers.add(current.errno)
        text = str(current)
        numbers |= {int(next(filter(None, match))) for match in _OS_ERROR.findall(text)}
        numbers |= {number for number in FAULTY if os.strerror(number) in text}
        current = current.__cause__ or current.__context__
    return numbers


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, possibly wrapped by a library, means a full disk or an exceeded quota."""
    return bool(error_numbers(error) & DISK_FULL)


def is_fault(error: BaseException) -> bool:
    """Return whether an error is a fault of the machine rather than of the code that raised it.

    Missing files and permissions do not count: they can be mistakes in the user's code.
    """
    return isinstance(error, FileFault) or bool(error_numbers(error) & FAULTY)


@contextmanager
def faults_of_files() -> Iterator[None]:
    """Convert file errors of the block into `FileFault`: its files existed when the trial was prepared.

    Raises:
        FileFault: If a file cannot be read or written; with the operating system's reason.
    """
    try:
        yield
    except WorkBlocked:
        raise
    except Exception as error:  # safetensors and Arrow raise custom exceptions
        if isinstance(error, OSError) or error_numbers(error):
            raise FileFault(f"{in_one_line(error)}; check the disk and permissions") from error
        raise


@contextmanager
def unless_disk_is_full() -> Iterator[None]:
    """Suppress errors caused by a full disk in the block.

    Raises:
        OSError: If the cause is another one.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise


def entries(folder: Path) -> list[Path]:
    """Return the entries of a folder by name, without files being written; empty if the folder is absent."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if not name.startswith(".")]


_UNFINISHED = re.compile(r"\..+-\d+-\d+(-wal|-shm|-journal)?")
"""Temporary names of `written_whole`."""


def unfinished(folder: Path) -> list[Path]:
    """Return the temporary files and folders of `written_whole` in a folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in names if _UNFINISHED.fullmatch(name)]


def abandoned(root: Path, seconds: float) -> Iterator[Path]:
    """Yield the temporary files below a folder that were last changed at least this many seconds ago."""
    for parent, folders, _ in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in unfinished(Path(parent)):
            with suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime >= seconds:
                    yield path


def files_below(folder: Path, *, hidden: bool = False) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files below a folder with their `stat`; other processes may change the folder meanwhile.

    Args:
        hidden: Include names that begin with a dot, such as files being written.
    """
    for parent, folders, names in os.walk(folder):
        if not hidden:
            folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if not hidden and name.startswith("."):
                continue
            with suppress(FileNotFoundError, NotADirectoryError):  # deleted meanwhile
                state = path.stat()
                if stat.S_ISREG(state.st_mode):
                    yield path, state


def folder_size(folder: Path) -> int:
    """Return the size of a folder in bytes; 0 if it is absent."""
    return sum(state.st_size for _, state in files_below(folder))


def in_bytes(number: float) -> str:
    """Return a number of bytes as text with a unit.

    Examples:
        >>> in_bytes(1_234_567_890), in_bytes(20_480), in_bytes(12)
        ('1.2 GB', '20.5 KB', '12 B')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if abs(number) >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:.0f} B"


def is_regular(path: Path) -> bool:
    """Return whether a path is a regular file; reading a pipe or a device could block."""
    return stat.S_ISREG(path.stat().st_mode)


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
