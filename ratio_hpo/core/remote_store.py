"""Remote store: files below the run folder, shared by machines without a common disk.

A worker uploads its stages and item scores under their paths below the run folder, and fetches those of other workers.
A folder has a marker file that is written last and deleted first: the folder is valid while the marker exists. Every
store that fsspec supports works: `s3://bucket/prefix`, `file:///path`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ratio_hpo.core.errors import ConfigError, RemoteStoreError
from ratio_hpo.core.files import entries, is_disk_full, written_whole
from ratio_hpo.core.retry import CLOCK, Clock, retry_call, to_stderr
from ratio_hpo.core.urls import reason_of, shown_url

T = TypeVar("T")

PATIENCE = 600.0
"""How long to keep retrying an unavailable remote store, in seconds."""

LISTED = 10.0
"""How long a listing is cached, in seconds; until then, newer files are not seen and may be made again."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the remote store.

    Attributes:
        size: Size in bytes.
        changed: Time of the last write in seconds since the epoch, by the clock of the store.
    """

    size: int
    changed: float


class RemoteStore:
    """The remote store of a run folder.

    Args:
        url: Address in fsspec's form; credentials come from the environment.
        root: The local run folder.
        clock: Clock used for waiting.
        say: Receives a message when an unavailable remote store is retried.

    Raises:
        ConfigError: If fsspec does not support the address.
    """

    url: str

    def __init__(
        self, url: str, root: Path, clock: Clock = CLOCK, say: Callable[[str], None] | None = to_stderr
    ) -> None:
        self.url, self._root, self._clock, self._say = url, root, clock, say
        self._fs, self._base = _open(url)
        self._is_path = "file" in _protocols(self._fs)
        self._listings: dict[Path, tuple[float, dict[str, RemoteFile]]] = {}

    def check(self) -> None:
        """Check that the remote store is writable, by writing and deleting a small file.

        Raises:
            RemoteStoreError: If it is not writable.
        """
        mark = f"{self._base}/.ratio-hpo"

        def write() -> None:
            if self._is_path:
                Path(self._base).mkdir(parents=True, exist_ok=True)
            self._fs.pipe_file(mark, b"")
            self._fs.rm_file(mark)

        self._retried(write, patience=0.0)

    def has(self, path: Path) -> bool:
        """Return whether the remote store holds a file.

        Unlike fsspec's `isfile`, this does not return False while the remote store is unavailable.

        Raises:
            RemoteStoreError: If it stays unavailable.
        """

        def look() -> bool:
            try:
                return self._fs.info(self._remote_path(path))["type"] == "file"
            except FileNotFoundError:
                return False

        return self._retried(look)

    def put(self, path: Path, last: str | None = None) -> None:
        """Upload a file, or all files of a folder.

        Args:
            path: Local path below the run folder.
            last: Name of the folder's marker file, which is uploaded last.

        Raises:
            RemoteStoreError: If it stays unavailable or refuses access.
        """
        files = [path] if path.is_file() else [entry for entry in entries(path) if entry.is_file()]
        for file in sorted(files, key=lambda file: file.name == last):
            self._retried(lambda file=file: self._put(file))

    def fetch(self, path: Path, last: str | None = None) -> bool:
        """Download a file or a complete folder to its local path, replacing what exists.

        Args:
            path: Local path below the run folder.
            last: Name of the folder's marker file; None for a single file.

        Returns:
            Whether the remote store held it.

        Raises:
            RemoteStoreError: If it stays unavailable.
        """
        remote_path = self._remote_path(path)
        if last is None:
            return self._retried(lambda: self._download([(remote_path, path)], path))
        if not self.has(path / last):
            return False
        names = self._retried(lambda: [str(name) for name in self._fs.find(remote_path)])
        return self._retried(lambda: self._download([(name, path / name.rpartition("/")[2]) for name in names], path))

    def copy(self, path: Path, target: Path) -> bool:
        """Download a file to another local path; return whether the remote store held it."""
        return self._retried(lambda: self._download([(self._remote_path(path), target)], target))

    def delete(self, path: Path, last: str) -> None:
        """Delete a folder, its marker file first, so that a partly deleted folder is not valid."""
        names = self._retried(lambda: [str(name) for name in self._fs.find(self._remote_path(path))])
        for name in sorted(names, key=lambda name: name.rpartition("/")[2] != last):
            self._retried(lambda name=name: self._delete_file(name))
        self._listings.clear()

    def files(self, folder: Path) -> dict[str, RemoteFile]:
        """Return all files below a folder by their relative paths; cached for `LISTED` seconds."""
        now = self._clock.monotonic()
        if folder not in self._listings or now - self._listings[folder][0] > LISTED:
            self._listings[folder] = (now, self._retried(lambda: self._list(self._remote_path(folder))))
        return self._listings[folder][1]

    def _list(self, remote_folder: str) -> dict[str, RemoteFile]:
        try:
            listing = self._fs.find(remote_folder, detail=True)
        except FileNotFoundError:  # nothing was uploaded yet
            return {}
        return {
            name.removeprefix(f"{remote_folder}/"): RemoteFile(int(info["size"]), _seconds(info))
            for name, info in listing.items()
        }

    def _put(self, path: Path) -> None:
        remote_path = self._remote_path(path)
        if self._is_path:  # object stores write atomically, file systems do not
            with written_whole(Path(remote_path)) as part:
                shutil.copyfile(path, part)
        else:
            self._fs.put_file(str(path), remote_path)

    def _download(self, files: list[tuple[str, Path]], whole: Path) -> bool:
        try:
            with written_whole(whole, replace=True) as part:
                for remote_path, target in files:
                    local_path = part if target == whole else part / target.name
                    local_path.parent.mkdir(parents=True, exist_ok=True)
                    self._fs.get_file(remote_path, str(local_path))
        except FileNotFoundError:  # deleted meanwhile
            return False
        return True

    def _delete_file(self, name: str) -> None:
        try:
            self._fs.rm_file(name)
        except FileNotFoundError:  # another driver deleted it first
            return

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _remote_path(self, path: Path) -> str:
        return f"{self._base}/{self._name(path)}"

    def _retried(self, call: Callable[[], T], patience: float = PATIENCE) -> T:
        """Return the result of a call, which is retried while the remote store is unavailable.

        Raises:
            RemoteStoreError: If it stays unavailable or refuses access.
        """
        shown = shown_url(self.url)
        try:
            return retry_call(call, what=shown, passes=_may_pass, reason_of=reason_of, patience=patience, say=self._say,
                         clock=self._clock)  # fmt: skip
        except Exception as error:  # each store raises custom exceptions
            if is_disk_full(error):
                raise
            raise RemoteStoreError(
                f"{shown}: {reason_of(error)}; check the address, the credentials and the network"
            ) from error


def _may_pass(error: Exception) -> bool:
    """Return whether an error of a store may be transient."""
    return not isinstance(error, PermissionError | FileNotFoundError) and not is_disk_full(error)


@cache
def _open(url: str) -> tuple[Any, str]:
    """Return the file system of an address and the path in it."""
    import fsspec

    shown = shown_url(url)
    if not urlsplit(url).scheme:
        raise ConfigError(
            f"⟨remote_store⟩: needs an address such as s3://bucket/prefix or file:///path, but got {shown}"
        )
    if "::" in url:  # fsspec reads it as a chain of file systems and drops one
        raise ConfigError(f"⟨remote_store⟩: {shown}: holds ::, which is not allowed; use another path")
    try:
        file_system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except Exception as error:  # each file system raises custom exceptions
        raise ConfigError(
            f"⟨remote_store⟩: {shown}: {reason_of(error)}; install its file system (for s3: the extra s3)"
        ) from error
    return file_system, path.rstrip("/")


def _protocols(file_system: Any) -> tuple[str, ...]:
    protocol = file_system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _seconds(info: Mapping[str, object]) -> float:
    """Return when a file was written, from the key that the store uses; 0 if it has none."""
    changed = next((info[key] for key in ("LastModified", "mtime", "updated", "last_modified") if info.get(key)), None)
    if isinstance(changed, datetime):
        return (changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp()
    return float(changed) if isinstance(changed, int | float) else 0.0
