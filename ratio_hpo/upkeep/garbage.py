"""Disk usage of a study's run folder."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ratio_hpo.analysis.results import StudyStatus
from ratio_hpo.analysis.status import status
from ratio_hpo.core.files import abandoned, entries, files_below, remove
from ratio_hpo.core.json_format import Result, extended
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.storage.connect import Storage
from ratio_hpo.study.checkpoint_retention import kept_points
from ratio_hpo.study.manage import list_studies
from ratio_hpo.study.snapshot import StudyView, view_study
from ratio_hpo.training.store import StageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """Bytes below a run folder; hard-linked files in both the stage store and the kept weights count as stages.

    Attributes:
        keep: Trials whose weights are kept, as set by the last search.
        stages: Bytes of the stage store, which all studies of the folder share.
        stages_budget: Size limit of the stage store, which evicts the least recently used stages. 0: unknown.
        weights: Bytes of the study's kept weights.
        items: Bytes of item scores of all studies.
        windows: Bytes of tokenised data of all studies.
    """

    keep: str
    stages: int
    stages_budget: int
    weights: int
    items: int
    windows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusWithDisk(StudyStatus):
    """The state of a study, with the disk space that it uses.

    Attributes:
        disk: Bytes below the run folder.
    """

    disk: DiskUsage


def status_with_disk(view: StudyView, folder: RunFolder) -> StatusWithDisk:
    """Return the state of a study and its current disk usage."""
    return extended(StatusWithDisk, status(view), disk=disk_usage(view, folder))


def disk_usage(view: StudyView, folder: RunFolder) -> DiskUsage:
    """Return the current disk usage; all zero if the folder is not on this machine."""
    counted: set[tuple[int, int]] = set()

    def new_bytes(path: Path) -> int:
        """Return the bytes of the files that were not counted before."""
        sizes = {(state.st_dev, state.st_ino): state.st_size for _, state in files_below(path, hidden=True)}
        total = sum(size for file, size in sizes.items() if file not in counted)
        counted.update(sizes)
        return total

    return DiskUsage(
        keep=view.about.keep,
        stages=new_bytes(folder.stages),
        stages_budget=view.about.store_bytes,
        weights=new_bytes(folder.weights(view.name)),
        items=new_bytes(folder.items),
        windows=new_bytes(folder.windows),
    )


YOUNG = 3600.0
"""Minimum age of garbage in seconds, because a search may be about to use a new file."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Folder or file that can be deleted.

    Attributes:
        path: The folder or file.
        why: What it is, and why it is not used.
        bytes: Bytes that its deletion frees.
    """

    path: Path
    why: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageReport(Result):
    """The result of `gc`.

    Attributes:
        garbage: What is deleted, or would be.
        bytes: Bytes of all of it.
        freed_bytes: Bytes that were freed.
        ended_bytes: Bytes that `--ended` would free in addition.
        dry_run: Whether nothing was deleted.
    """

    garbage: tuple[Garbage, ...]
    bytes: int
    freed_bytes: int
    ended_bytes: int
    dry_run: bool


def collect_garbage(
    storages: Sequence[Storage], folder: RunFolder, *, ended: bool = False, dry_run: bool = False
) -> GarbageReport:
    """Delete what no study uses, or only list it.

    Args:
        storages: All storages whose studies use the run folder.
        folder: The run folder.
        ended: Also delete stored stages of ended trials, which only later trials could reuse.
        dry_run: Delete nothing.

    Raises:
        ConfigError: A path is given twice, or a study has another format.
    """
    garbage = tuple(find_garbage(storages, folder, ended=ended))
    size = sum(item.bytes for item in garbage)
    freed = 0 if dry_run else free(garbage, folder)
    of_ended = 0 if ended else sum(item.bytes for item in find_garbage(storages, folder, ended=True)) - (size - freed)
    return GarbageReport(garbage=garbage, bytes=size, freed_bytes=freed, ended_bytes=of_ended, dry_run=dry_run)


def find_garbage(
    storages: Sequence[Storage], folder: RunFolder, *, ended: bool = False, young: float = YOUNG
) -> list[Garbage]:
    """Return everything below the run folder that no study uses and that has not changed for `young` seconds.

    Args:
        storages: All storages whose studies use the run folder.
        folder: The run folder.
        ended: Also include stored stages of ended trials, which only later trials could reuse.
        young: Minimum age in seconds.

    Raises:
        ConfigError: A path is given twice, or a study has another format.
    """
    views = [view_study(storage, study.name) for storage in storages for study in list_studies(storage)]
    candidates = [
        *_stages(views, folder.stages, ended=ended),
        *_items(views, folder.items),
        *_weights(views, folder.checkpoints),
        *_windows(views, folder.windows),
        *_plots(views, folder.plots),
    ]
    now = time.time()
    old = [(path, why) for path, why in candidates if now - _touched(path) >= young]
    old += [(path, "left by a killed process") for path in abandoned(folder.root, young)]
    return [Garbage(path, why, _size(path)) for path, why in old]


def free(garbage: Sequence[Garbage], folder: RunFolder) -> int:
    """Delete garbage, except stages that are in use by now, and return the number of freed bytes."""
    store = StageStore(folder.stages) if folder.stages.is_dir() else None
    freed = 0
    for item in garbage:
        if store is not None and item.path.parent.parent == store.root:
            if not store.remove(item.path):
                continue
        else:
            remove(item.path)
        freed += item.bytes
    return freed


Candidate = tuple[Path, str]
"""A path that no study uses, and what it is."""


def _stages(views: Sequence[StudyView], folder: Path, *, ended: bool) -> Iterator[Candidate]:
    """Yield stored stages that no curve refers to; with `ended`, also those that only ended trials refer to."""
    referenced, used = set[str](), set[str]()
    for record in (record for view in views for record in view.records):
        names = {name for point in record.curve for name in point.checkpoints}
        referenced |= names
        if not (ended and record.state.finished):
            used |= names
    of_ended = referenced - used
    identities = {name.partition("/")[0] for name in referenced}
    for checkpoint in (checkpoint for stage in entries(folder) for checkpoint in entries(stage)):
        name = "/".join(checkpoint.parts[-2:])
        if name in of_ended:
            yield checkpoint, "a stage of ended trials"
        elif name not in used:
            known = checkpoint.parent.name in identities
            yield checkpoint, "a stage at a step that is in no curve" if known else "a stage of no study"


def _items(views: Sequence[StudyView], folder: Path) -> Iterator[Candidate]:
    """Yield item scores of evaluations that are in no curve."""
    used = {name for view in views for record in view.records for point in record.curve for name in point.item_names}
    for file in (file for stage in entries(folder) for file in entries(stage) if file.suffix == ".parquet"):
        if file.relative_to(folder).with_suffix("").as_posix() not in used:
            yield file, "item scores of no study"


def _weights(views: Sequence[StudyView], folder: Path) -> Iterator[Candidate]:
    """Yield weights of deleted studies and of points that are no longer kept."""
    kept = {view.name: {p.key for p in kept_points(view.records, view.about.keep, view.recommended)} for view in views}
    for study in entries(folder):
        if study.name not in kept:
            yield study, "weights of a deleted study"
            continue
        for point in entries(study):
            if point.name not in kept[study.name]:
                yield point, "weights of a point that is no longer kept"


def _windows(views: Sequence[StudyView], folder: Path) -> Iterator[Candidate]:
    """Yield tokenised data that no study trains on or is scored on."""
    used = {name for view in views for name in (*view.identity.get("data", {}).values(), *view.about.evaluation_sets)}
    for windows in entries(folder):
        if windows.name not in used:
            yield windows, "tokenised data of no study"


def _plots(views: Sequence[StudyView], folder: Path) -> Iterator[Candidate]:
    names = {view.name for view in views}
    for plot in entries(folder):
        if plot.suffix == ".png" and plot.stem.removesuffix("-transfer") not in names:
            yield plot, "a plot of a deleted study"


def _size(path: Path) -> int:
    """Return the bytes that a deletion frees; a file with other hard links frees none."""
    return sum(state.st_size for state in _states(path) if state.st_nlink == 1)


def _touched(path: Path) -> float:
    """Return the latest modification time in a path, in seconds since the epoch."""
    with suppress(FileNotFoundError):
        return max(state.st_mtime for state in (path.stat(), *_states(path)))
    return math.inf  # deleted in the meantime


def _states(path: Path) -> list[os.stat_result]:
    """Return the state of a file, or of all files in a folder; empty if it no longer exists."""
    if path.is_dir():
        return [state for _, state in files_below(path, hidden=True)]
    with suppress(FileNotFoundError):
        return [path.stat()]
    return []
