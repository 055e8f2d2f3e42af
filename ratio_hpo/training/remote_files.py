"""Files that machines without a common disk share through the remote store: token windows, stages, item scores.

The driver uploads windows, downloads item scores, and evicts stages. Workers download windows once and upload stages
and item scores. The last use of a stage is the time of the latest evaluation in the storage that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ratio_hpo.core.errors import RemoteStoreError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.core.retry import CLOCK, Clock
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.core.urls import shown_url
from ratio_hpo.data.tokenise import is_whole
from ratio_hpo.data.windows import META
from ratio_hpo.training.checkpoint import STATE
from ratio_hpo.training.items import ItemStore

BETWEEN = 60.0
"""Minimum seconds between two evictions."""

ABANDONED = 3600.0
"""Seconds after which an incomplete upload is deleted."""


def put_windows(folders: Iterable[str], remote_store: RemoteStore) -> None:
    """Upload window sets that are missing in the remote store.

    Raises:
        RemoteStoreError: the remote store stays unavailable.
    """
    for folder in map(Path, folders):
        if not remote_store.has(folder / META):
            remote_store.put(folder, META)


def fetch_windows(folders: Iterable[str], remote_store: RemoteStore) -> None:
    """Download window sets that are missing on this machine.

    Raises:
        RemoteStoreError: a window set is missing in the remote store, or damaged.
    """
    for folder in map(Path, folders):
        if not (folder / META).is_file() and not (remote_store.fetch(folder, META) and is_whole(folder)):
            shown = shown_url(remote_store.url)
            raise RemoteStoreError(
                f"{shown}: holds no complete {folder.name} in {folder.parent.name}; run the same command again"
            )


class DriverRemoteStore:
    """The remote store as the driver uses it.

    Attributes:
        url: URL of the remote store.

    Args:
        remote_store: the remote store.
        folder: run folder of the driver.
        budget: maximum bytes of stages in the remote store.
        clock: source of time.
    """

    url: str

    def __init__(self, remote_store: RemoteStore, folder: RunFolder, budget: int, clock: Clock = CLOCK) -> None:
        self.url = remote_store.url
        self._remote_store, self._stages, self._budget, self._clock = remote_store, folder.stages, budget, clock
        self._items = ItemStore(folder.items, remote_store)
        self._evicted = clock.monotonic()

    def take(self, progress: Progress) -> None:
        """Download the item scores of an evaluation."""
        for name in sorted(progress.item_names):
            self._items.fetch(name)

    def catch_up(self, records: Sequence[TrialRecord]) -> None:
        """Download item scores that a crashed driver had not downloaded."""
        for record in records:
            for progress in record.curve:
                self.take(progress)

    def evict(self, records: Sequence[TrialRecord], *, at_once: bool = False) -> list[str]:
        """Delete the least recently used checkpoints until the budget is met; keep those of running trials.

        Several concurrent drivers select the same checkpoints.

        Args:
            records: all trials of the study.
            at_once: evict even if the last eviction was less than a minute ago.

        Returns:
            Names of the deleted checkpoints.
        """
        if not at_once and self._clock.monotonic() - self._evicted < BETWEEN:
            return []
        self._evicted = self._clock.monotonic()
        sizes: dict[str, int] = {}
        used: dict[str, float] = {}
        complete: set[str] = set()
        for path, file in self._remote_store.files(self._stages).items():
            name, _, last = path.rpartition("/")
            sizes[name] = sizes.get(name, 0) + file.size
            used[name] = max(used.get(name, 0.0), file.changed)
            complete |= {name} if last == STATE else set()
        busy: set[str] = set()
        for record in records:
            for progress in record.curve:
                for name in progress.checkpoints & sizes.keys():
                    used[name] = max(used[name], progress.time or 0.0)
                    busy |= {name.partition("/")[0]} if record.state is State.RUNNING else set()
        total, deleted = sum(sizes.values()), []
        for name in sorted(sizes, key=lambda name: used[name]):
            abandoned = name not in complete and self._clock.time() - used[name] > ABANDONED
            over = total > self._budget and name.partition("/")[0] not in busy
            if abandoned or over:
                self._remote_store.delete(self._stages / name, STATE)
                total -= sizes[name]
                deleted.append(name)
        return deleted
