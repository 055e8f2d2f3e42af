"""Files that are there whole or not at all, and what they weigh."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ratio_hpo.core.errors import FileFault, WorkBlocked, in_one_line

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


DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

FAULTY = DISK_FULL | {
    errno.EIO, errno.ESTALE, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO, errno.ENOLINK, errno.ENOTCONN,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET,
    errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.EUCLEAN, errno.ESHUTDOWN, errno.ENOLCK, errno.EAGAIN,
}  # fmt: skip
"""What an operating system says where a disk, a network or a limit of the machine is at fault, whoever meets it."""

_OS_ERROR = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]|errno:? ?(\d+)", re.IGNORECASE)
"""How libraries that raise errors of their own name the operating system's: safetensors (Rust), Python, Arrow."""


def error_numbers(error: BaseException) -> set[int]:
    """The operating system's numbers behind an error, however a library has wrapped it.

    Examples:
        >>> error_numbers(RuntimeError("I/O error: Disk quota exceeded (os error 122)"))
        {122}
    """
    numbers: set[int] = set()
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            numbers.add(seen.errno)
        text = str(seen)
        numbers |= {int(next(filter(None, match))) for match in _OS_ERROR.findall(text)}
        numbers |= {number for number in FAULTY if os.strerror(number) in text}
        seen = seen.__cause__ or seen.__context__
    return numbers


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or what one may use of it, is full, however a library has wrapped it."""
    return bool(error_numbers(error) & DISK_FULL)


def is_fault(error: BaseException) -> bool:
    """Whether an error is a fault of the machine, whatever code has met it.

    That a file is absent, or may not be read, can be a mistake in somebody's code; these are none.
    """
    return isinstance(error, FileFault) or bool(error_numbers(error) & FAULTY)


@contextmanager
def faults_of_files() -> Iterator[None]:
    """What goes wrong with files in the block is a fault of the machine: all of them were there when it was prepared.

    Raises:
        FileFault: with the operating system's reason.
    """
    try:
        yield
    except WorkBlocked:
        raise
    except Exception as error:  # safetensors and Arrow have errors of their own
        if isinstance(error, OSError) or error_numbers(error):
            raise FileFault(f"{in_one_line(error)}; check the disk and permissions") from error
        raise


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


def entries(folder: Path) -> list[Path]:
    """What a folder holds, by name, but for what is being written; nothing where it is not there, or not any more."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if not name.startswith(".")]


_UNFINISHED = re.compile(r"\..+-\d+-\d+(-wal|-shm|-journal)?")
"""The names that `written_whole` writes under."""


def unfinished(folder: Path) -> list[Path]:
    """What is being written in a folder, or was when its writer was killed."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in names if _UNFINISHED.fullmatch(name)]


def abandoned(root: Path, seconds: float) -> Iterator[Path]:
    """What below a folder was being written by a process that was killed: nothing has changed it for so long."""
    for place, folders, _ in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in unfinished(Path(place)):
            with suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime >= seconds:
                    yield path


def files_below(folder: Path, *, hidden: bool = False) -> Iterator[tuple[Path, os.stat_result]]:
    """The files of a folder and of those in it, with their state. Others may write, rename and delete meanwhile.

    Args:
        hidden: also what is being written.
    """
    for place, folders, names in os.walk(folder):
        if not hidden:
            folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if not hidden and name.startswith("."):
                continue
            with suppress(FileNotFoundError, NotADirectoryError):  # gone meanwhile
                state = path.stat()
                if stat.S_ISREG(state.st_mode):
                    yield path, state


def folder_size(folder: Path) -> int:
    """Bytes that a folder holds; 0 where there is none."""
    return sum(state.st_size for _, state in files_below(folder))


def in_bytes(number: float) -> str:
    """A number of bytes for people, never rounded to nothing.

    Examples:
        >>> in_bytes(1_234_567_890), in_bytes(20_480), in_bytes(12)
        ('1.2 GB', '20.5 KB', '12 B')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if abs(number) >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:.0f} B"


def is_regular(path: Path) -> bool:
    """Whether it is a plain file: reading a pipe or a device could wait for ever."""
    return stat.S_ISREG(path.stat().st_mode)
