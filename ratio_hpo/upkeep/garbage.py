"""What below the run folder nothing refers to any more."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ratio_hpo.core.files import abandoned, entries, files_below, remove
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.study.admin import list_studies
from ratio_hpo.study.checkpoint_retention import kept_points
from ratio_hpo.study.storage import Storage
from ratio_hpo.study.view import StudyView, recommended_of, view_study
from ratio_hpo.training.store import StageStore

YOUNG = 3600.0
"""Seconds for which nothing is taken for garbage: a search may be about to refer to it."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """A folder or file that can go.

    Attributes:
        why: what it was, and why nothing refers to it.
        size: bytes that are freed with it.
    """

    path: Path
    why: str
    size: int


def find_garbage(
    storages: Sequence[Storage], folder: RunFolder, *, ended: bool = False, young: float = YOUNG
) -> list[Garbage]:
    """Everything below the run folder that no study refers to, and nobody has touched for `young` seconds.

    Args:
        ended: also stored stages of trials that have ended: nothing but later trials would start from them.

    Raises:
        ConfigError: a path is given twice, or a study is of another version.
    """
    views = [view_study(storage, study.name) for storage in storages for study in list_studies(storage)]
    found = [
        *_stages(views, folder, ended=ended),
        *_items(views, folder.items),
        *_weights(views, folder.checkpoints),
        *_windows(views, folder.windows),
        *_pictures(views, folder.plots),
    ]
    now = time.time()
    old = [garbage for garbage in found if now - _touched(garbage.path) >= young]
    left = [Garbage(path, "left by a process that was killed", _size(path)) for path in abandoned(folder.root, young)]
    return old + left


def free(garbage: Sequence[Garbage], folder: RunFolder) -> int:
    """Delete; returns the bytes that were freed. A stage that somebody has begun to use meanwhile stays."""
    store = StageStore(folder.stages) if folder.stages.is_dir() else None
    freed = 0
    for item in garbage:
        if store is not None and item.path.parent.parent == store.root:
            if not store.remove(item.path):
                continue
        else:
            remove(item.path)
        freed += item.size
    return freed


def _stages(views: Sequence[StudyView], folder: RunFolder, *, ended: bool) -> Iterator[Garbage]:
    """Stored stages that are in no curve of any study, or, where that is asked, only in those of ended trials."""
    points = [
        (record, name)
        for view in views
        for record in view.records
        for point in record.curve
        for name in point.checkpoints
    ]
    used = {name for record, name in points if not (ended and record.state.finished)}
    known = {name for _, name in points}
    identities = {name.partition("/")[0] for name in known}
    for checkpoint in (checkpoint for stage in entries(folder.stages) for checkpoint in entries(stage)):
        name = "/".join(checkpoint.parts[-2:])
        if name in used:
            continue
        if name in known:
            why = "a stage of trials that have ended"
        else:
            why = "a stage at a step of no curve" if checkpoint.parent.name in identities else "a stage of no study"
        yield Garbage(checkpoint, why, _size(checkpoint))


def _items(views: Sequence[StudyView], folder: Path) -> Iterator[Garbage]:
    """Item scores of evaluations that are in no curve."""
    used = {name for view in views for record in view.records for point in record.curve for name in point.item_names}
    for file in (file for stage in entries(folder) for file in entries(stage) if file.suffix == ".parquet"):
        if file.relative_to(folder).with_suffix("").as_posix() not in used:
            yield Garbage(file, "item scores of no study", _size(file))


def _weights(views: Sequence[StudyView], folder: Path) -> Iterator[Garbage]:
    """Kept weights of studies that are gone, and of points that are no longer kept."""
    kept = {
        view.name: {p.key for p in kept_points(view.records, view.about.keep, recommended_of(view))} for view in views
    }
    for study in entries(folder):
        if study.name not in kept:
            yield Garbage(study, "weights of a study that is gone", _size(study))
            continue
        for point in entries(study):
            if point.name not in kept[study.name]:
                yield Garbage(point, "weights of a point that is no longer kept", _size(point))


def _windows(views: Sequence[StudyView], folder: Path) -> Iterator[Garbage]:
    """Tokenised data that no study trains on or is scored on."""
    used = {print_ for view in views for print_ in view.identity.get("data", {}).values()}
    scored = {print_ for view in views for print_ in view.about.evaluation_sets}
    for windows in entries(folder):
        if windows.name not in used and windows.name not in scored:
            yield Garbage(windows, "tokenised data of no study", _size(windows))


def _pictures(views: Sequence[StudyView], folder: Path) -> Iterator[Garbage]:
    names = {view.name for view in views}
    for picture in (file for file in entries(folder) if file.suffix == ".png"):
        if picture.stem.removesuffix("-transfer") not in names:
            yield Garbage(picture, "a picture of a study that is gone", _size(picture))


def _size(path: Path) -> int:
    """Bytes on the disk; a file with other names elsewhere frees nothing."""
    return sum(state.st_size for state in _states(path) if state.st_nlink == 1)


def _touched(path: Path) -> float:
    """When something in it was changed last, in seconds since the epoch."""
    with suppress(FileNotFoundError):
        return max(state.st_mtime for state in (path.stat(), *_states(path)))
    return math.inf  # gone meanwhile


def _states(path: Path) -> list[os.stat_result]:
    """The state of a file, or of each in a folder; of what is gone meanwhile, none."""
    if path.is_dir():
        return [state for _, state in files_below(path, hidden=True)]
    with suppress(FileNotFoundError):
        return [path.stat()]
    return []
