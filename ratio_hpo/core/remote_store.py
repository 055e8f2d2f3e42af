"""What machines without a common disk share: files below the run folder, copied to an object store or another path.

A worker puts what it makes (stages, scores of items) into the remote store under its name below the run folder, and fetches
from there what others made. Of files that belong together the last one is written last and deleted first: they count
while it is there. Any store that fsspec knows will do: `s3://bucket/prefix`, `file:///path`.
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

from ratio_hpo.core.clock import CLOCK, Clock
from ratio_hpo.core.errors import ConfigError, RemoteStoreError
from ratio_hpo.core.files import entries, is_disk_full, written_whole
from ratio_hpo.core.retry import retry_call, to_stderr
from ratio_hpo.core.urls import reason_of, shown_url

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds that a remote store which is away is waited for."""

LISTED = 10.0
"""Seconds that a listing is good for: what was stored since is made again, or found the next time."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the remote store.

    Attributes:
        size: in bytes.
        changed: when it was written, in seconds since the epoch, by the store's clock.
    """

    size: int
    changed: float


class RemoteStore:
    """The remote store of a run folder.

    Args:
        url: where it is, as fsspec has it; logins come from the environment.
        root: the run folder here.
        say: is told when the remote store is waited for.

    Raises:
        ConfigError: nothing that fsspec knows.
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
        """Write a small file and delete it again.

        Raises:
            RemoteStoreError: it cannot be written to.
        """
        mark = f"{self._base}/.ratio-hpo"

        def write() -> None:
            if self._is_path:
                Path(self._base).mkdir(parents=True, exist_ok=True)
            self._fs.pipe_file(mark, b"")
            self._fs.rm_file(mark)

        self._tried(write, patience=0.0)

    def has(self, path: Path) -> bool:
        """Whether a file is there.

        Raises:
            RemoteStoreError: it is away for longer than it is waited for; fsspec's own `isfile` would say no.
        """

        def look() -> bool:
            try:
                return self._fs.info(self._there(path))["type"] == "file"
            except FileNotFoundError:
                return False

        return self._tried(look)

    def put(self, path: Path, last: str | None = None) -> None:
        """Copy a file, or all files of a folder, there.

        Args:
            last: the file of a folder that says it is whole.

        Raises:
            RemoteStoreError: it is away for longer than it is waited for, or refuses.
        """
        files = [path] if path.is_file() else [each for each in entries(path) if each.is_file()]
        for each in sorted(files, key=lambda file: file.name == last):
            self._tried(lambda each=each: self._put(each))

    def fetch(self, path: Path, last: str | None = None) -> bool:
        """Bring a file, or a folder that is whole, into its place here, whatever was there; False: there is none.

        Raises:
            RemoteStoreError: it is away for longer than it is waited for.
        """
        there = self._there(path)
        if last is None:
            return self._tried(lambda: self._got([(there, path)], path))
        if not self.has(path / last):
            return False
        names = self._tried(lambda: [str(name) for name in self._fs.find(there)])
        return self._tried(lambda: self._got([(name, path / name.rpartition("/")[2]) for name in names], path))

    def copy(self, path: Path, target: Path) -> bool:
        """Bring a file to another place; False: there is none."""
        return self._tried(lambda: self._got([(self._there(path), target)], target))

    def delete(self, path: Path, last: str) -> None:
        """Delete a folder, its last file first: from then on it does not count."""
        names = self._tried(lambda: [str(name) for name in self._fs.find(self._there(path))])
        for name in sorted(names, key=lambda name: name.rpartition("/")[2] != last):
            self._tried(lambda name=name: self._gone(name))
        self._listings.clear()

    def files(self, folder: Path) -> dict[str, RemoteFile]:
        """All files below a folder, by their names below it, as of the last seconds."""
        now = self._clock.monotonic()
        if folder not in self._listings or now - self._listings[folder][0] > LISTED:
            self._listings[folder] = (now, self._tried(lambda: self._list(self._there(folder))))
        return self._listings[folder][1]

    def _list(self, there: str) -> dict[str, RemoteFile]:
        try:
            found = self._fs.find(there, detail=True)
        except FileNotFoundError:  # nothing was put there yet
            return {}
        return {
            name.removeprefix(f"{there}/"): RemoteFile(int(info["size"]), _seconds(info))
            for name, info in found.items()
        }

    def _put(self, path: Path) -> None:
        there = self._there(path)
        if self._is_path:  # a store of objects has files whole or not at all; a path does not
            with written_whole(Path(there)) as part:
                shutil.copyfile(path, part)
        else:
            self._fs.put_file(str(path), there)

    def _got(self, files: list[tuple[str, Path]], whole: Path) -> bool:
        try:
            with written_whole(whole, replace=True) as part:
                for there, target in files:
                    here = part if target == whole else part / target.name
                    here.parent.mkdir(parents=True, exist_ok=True)
                    self._fs.get_file(there, str(here))
        except FileNotFoundError:  # deleted meanwhile
            return False
        return True

    def _gone(self, name: str) -> None:
        try:
            self._fs.rm_file(name)
        except FileNotFoundError:  # another driver was faster
            return

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _there(self, path: Path) -> str:
        return f"{self._base}/{self._name(path)}"

    def _tried(self, call: Callable[[], T], patience: float = PATIENCE) -> T:
        """What a call gives, tried again while the remote store is away.

        Raises:
            RemoteStoreError: it is away for longer, or refuses.
        """
        shown = shown_url(self.url)
        try:
            return retry_call(call, what=shown, passes=_may_pass, reason_of=reason_of, patience=patience, say=self._say,
                         clock=self._clock)  # fmt: skip
        except Exception as error:  # each store has errors of its own
            if is_disk_full(error):
                raise
            raise RemoteStoreError(
                f"{shown}: {reason_of(error)}; check the address, the login and the network"
            ) from error


def _may_pass(error: Exception) -> bool:
    """Whether an error of a store may pass by itself."""
    return not isinstance(error, PermissionError | FileNotFoundError) and not is_disk_full(error)


@cache
def _open(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    import fsspec

    shown = shown_url(url)
    if not urlsplit(url).scheme:
        raise ConfigError(
            f"⟨remote_store⟩: needs an address such as s3://bucket/prefix or file:///path, but got {shown}"
        )
    if "::" in url:  # fsspec takes it for a chain of file systems, of which it drops one
        raise ConfigError(f"⟨remote_store⟩: {shown}: holds ::, which a path may not; name another one")
    try:
        file_system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except Exception as error:  # each file system has errors of its own
        raise ConfigError(
            f"⟨remote_store⟩: {shown}: {reason_of(error)}; install what it needs (for s3, the extra s3), or name another one"
        ) from error
    return file_system, path.rstrip("/")


def _protocols(file_system: Any) -> tuple[str, ...]:
    protocol = file_system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _seconds(info: Mapping[str, object]) -> float:
    """When a file was written, as stores tell it in different ways; 0 where one does not."""
    told = next((info[key] for key in ("LastModified", "mtime", "updated", "last_modified") if info.get(key)), None)
    if isinstance(told, datetime):
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    return float(told) if isinstance(told, int | float) else 0.0
