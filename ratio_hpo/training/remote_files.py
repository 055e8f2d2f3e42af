"""What machines without a common disk share of a search: token windows, stages, scores of items.

Workers fetch the windows of a search once, and put there what they make; the driver puts the windows there, fetches
the scores of items, and evicts stages. When a stage was last used is what the storage says: the time of the evaluations
that name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ratio_hpo.core.clock import CLOCK, Clock
from ratio_hpo.core.errors import RemoteStoreError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.core.urls import shown_url
from ratio_hpo.data.tokenise import is_whole
from ratio_hpo.data.windows import META
from ratio_hpo.training.checkpoint import STATE
from ratio_hpo.training.items import ItemStore

BETWEEN = 60.0
"""Seconds between two evictions."""

ABANDONED = 3600.0
"""Seconds after which what was put there in part, and never ended, is deleted."""


def put_windows(folders: Iterable[str], remote_store: RemoteStore) -> None:
    """Put window sets into the remote store, where they are not there.

    Raises:
        RemoteStoreError: it is away for longer than it is waited for.
    """
    for folder in map(Path, folders):
        if not remote_store.has(folder / META):
            remote_store.put(folder, META)


def fetch_windows(folders: Iterable[str], remote_store: RemoteStore) -> None:
    """Bring window sets here, where they are not here.

    Raises:
        RemoteStoreError: they are not there, or not as they were written.
    """
    for folder in map(Path, folders):
        if not (folder / META).is_file() and not (remote_store.fetch(folder, META) and is_whole(folder)):
            shown = shown_url(remote_store.url)
            raise RemoteStoreError(
                f"{shown}: holds no whole {folder.name} below {folder.parent.name}; run the same command again"
            )


class DriverRemoteStore:
    """The driver's part.

    Attributes:
        url: of the remote store.

    Args:
        budget: bytes of stages that the remote store may hold.
    """

    url: str

    def __init__(self, remote_store: RemoteStore, folder: RunFolder, budget: int, clock: Clock = CLOCK) -> None:
        self.url = remote_store.url
        self._remote_store, self._stages, self._budget, self._clock = remote_store, folder.stages, budget, clock
        self._items = ItemStore(folder.items, remote_store)
        self._evicted = clock.monotonic()

    def take(self, progress: Progress) -> None:
        """Fetch what an evaluation has kept of its items."""
        for name in sorted(progress.item_names):
            self._items.fetch(name)

    def catch_up(self, records: Sequence[TrialRecord]) -> None:
        """Fetch what a driver that died had not fetched yet."""
        for record in records:
            for progress in record.curve:
                self.take(progress)

    def evict(self, records: Sequence[TrialRecord], *, at_once: bool = False) -> list[str]:
        """Delete the least recently used checkpoints until the budget holds; those of running trials stay.

        Several drivers that do so at once take the same ones.

        Args:
            at_once: whether or not the last time was less than a minute ago.

        Returns:
            Names of the checkpoints that are gone.
        """
        if not at_once and self._clock.monotonic() - self._evicted < BETWEEN:
            return []
        self._evicted = self._clock.monotonic()
        sizes: dict[str, int] = {}
        used: dict[str, float] = {}
        whole: set[str] = set()
        for path, file in self._remote_store.files(self._stages).items():
            name, _, last = path.rpartition("/")
            sizes[name] = sizes.get(name, 0) + file.size
            used[name] = max(used.get(name, 0.0), file.changed)
            whole |= {name} if last == STATE else set()
        busy: set[str] = set()
        for record in records:
            for progress in record.curve:
                for name in progress.checkpoints & sizes.keys():
                    used[name] = max(used[name], progress.time or 0.0)
                    busy |= {name.partition("/")[0]} if record.state is State.RUNNING else set()
        left, gone = sum(sizes.values()), []
        for name in sorted(sizes, key=lambda name: used[name]):
            abandoned = name not in whole and self._clock.time() - used[name] > ABANDONED
            over = left > self._budget and name.partition("/")[0] not in busy
            if abandoned or over:
                self._remote_store.delete(self._stages / name, STATE)
                left -= sizes[name]
                gone.append(name)
        return gone
