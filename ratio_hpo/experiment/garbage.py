"""What below the run folder nothing refers to any more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.urls import with_driver, without_password
from ratio_hpo.study.admin import list_studies
from ratio_hpo.study.keeper import kept_points
from ratio_hpo.study.storage import Storage
from ratio_hpo.study.view import StudyView, view_study
from ratio_hpo.training.checkpoint import folder_size
from ratio_hpo.training.store import StageStore

STORAGES, DEFAULT = "storages.txt", "default"
"""Where the storages that use a run folder are noted, and how the one below it is called there."""

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


def remember_storage(root: Path, url: str | None) -> None:
    """Note that studies of a storage keep weights and stages below `root`; None: the one below it."""
    key = _key(url)
    if key not in _known(root):
        root.mkdir(parents=True, exist_ok=True)
        with (root / STORAGES).open("a", encoding="utf-8") as file:
            file.write(f"{key}\n")


def check_storages(root: Path, urls: Sequence[str | None]) -> None:
    """Refuse to look for garbage where a storage that uses `root` is not looked into.

    Raises:
        ConfigError: with the storage that is missing.
    """
    missing = sorted(_known(root) - {_key(url) for url in urls})
    if missing:
        raise ConfigError(
            f"--storage: {root} also holds weights and stages of studies in {missing[0]}; name every one of them, so "
            f"that none is taken for garbage ({DEFAULT} means the one below --root)"
        )


def _known(root: Path) -> set[str]:
    file = root / STORAGES
    noted = set(file.read_text(encoding="utf-8").split()) if file.is_file() else set()
    return noted | ({DEFAULT} if (root / "studies.db").is_file() else set())


def _key(url: str | None) -> str:
    return DEFAULT if url is None else without_password(with_driver(url))


def find_garbage(storages: Sequence[Storage], root: Path, *, young: float = YOUNG) -> list[Garbage]:
    """Everything below `root` that no study refers to, and nobody has touched for `young` seconds."""
    views = [view_study(storage, study.name) for storage in storages for study in list_studies(storage)]
    found = [
        *_stages(views, root / "stages"),
        *_weights(views, root / "checkpoints"),
        *_windows(views, root / "cache" / "windows"),
        *_pictures(views, root / "plots"),
    ]
    now = time.time()
    return [garbage for garbage in found if now - _touched(garbage.path) >= young]


def free(garbage: Sequence[Garbage], root: Path) -> int:
    """Delete; returns the bytes that were freed. A stage that somebody has begun to use meanwhile stays."""
    store = StageStore(root / "stages") if (root / "stages").is_dir() else None
    freed = 0
    for item in garbage:
        if store is not None and item.path.parent.parent == store.root:
            if not store.remove(item.path):
                continue
        elif item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
        freed += item.size
    return freed


def _stages(views: Sequence[StudyView], folder: Path) -> Iterator[Garbage]:
    """Stored stages that are in no curve of any study."""
    used = {
        tuple(Path(point.weights).parts[-2:])
        for view in views
        for record in view.records
        for point in record.curve
        if point.weights
    }
    running = {tuple(parts[:1]) for parts in used}
    for checkpoint in sorted(folder.glob("*/*")):
        if checkpoint.name.startswith(".lock") or checkpoint.parts[-2:] in used:
            continue
        between = (checkpoint.parent.name,) in running
        why = "a stage at a step of no curve" if between else "a stage that no study trained"
        yield Garbage(checkpoint, why, folder_size(checkpoint))


def _weights(views: Sequence[StudyView], folder: Path) -> Iterator[Garbage]:
    """Kept weights of studies that are gone, and of points that are no longer kept."""
    kept = {view.name: {p.key for p in kept_points(view.records, view.about.get("keep", "front"))} for view in views}
    for study in sorted(folder.iterdir()) if folder.is_dir() else []:
        if study.name not in kept:
            yield Garbage(study, "weights of a study that is gone", _size(study))
            continue
        for point in sorted(study.iterdir()):
            if point.name not in kept[study.name]:
                yield Garbage(point, "weights of a point that is no longer kept", _size(point))


def _windows(views: Sequence[StudyView], folder: Path) -> Iterator[Garbage]:
    """Tokenised data that no study trains on or is scored on."""
    if any("data" in view.identity and "evaluation_sets" not in view.about for view in views):
        return  # a study of an earlier version, which does not say what it is scored on
    used = {print_ for view in views for print_ in view.identity.get("data", {}).values()}
    scored = {print_ for view in views for print_ in view.about.get("evaluation_sets", [])}
    for windows in sorted(folder.iterdir()) if folder.is_dir() else []:
        if windows.name not in used and windows.name not in scored:
            yield Garbage(windows, "tokenised data of no study", _size(windows))


def _pictures(views: Sequence[StudyView], folder: Path) -> Iterator[Garbage]:
    names = {view.name for view in views}
    for picture in sorted(folder.glob("*.png")):
        if picture.stem not in names:
            yield Garbage(picture, "a picture of a study that is gone", picture.stat().st_size)


def _size(path: Path) -> int:
    """Bytes on the disk; a file with other names elsewhere frees nothing."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.stat().st_nlink == 1)


def _touched(path: Path) -> float:
    """When something in it was changed last, in seconds since the epoch."""
    return max(file.stat().st_mtime for file in [path, *path.glob("*")])
