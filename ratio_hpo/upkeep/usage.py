"""What a study's run folder takes of the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ratio_hpo.core.files import files_below
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.study.view import StudyView


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """Bytes below a run folder; a file that is stored and kept, as one by hard links, counts as stored.

    Attributes:
        keep: whose weights are kept, as the last search was told.
        stages: of the stage store, which all studies of the folder share.
        stages_budget: that it may hold; the least recently used stages go first. 0: not known.
        weights: of the study's kept weights.
        items: of scores of single items, of all studies.
        windows: of tokenised data, of all studies.
    """

    keep: str
    stages: int
    stages_budget: int
    weights: int
    items: int
    windows: int


def disk_usage(view: StudyView, folder: RunFolder) -> DiskUsage:
    """What the folder holds now; all zero where it is not on this machine."""
    seen: set[tuple[int, int]] = set()
    return DiskUsage(
        keep=view.about.keep,
        stages=_new_bytes(folder.stages, seen),
        stages_budget=view.about.store_bytes,
        weights=_new_bytes(folder.weights(view.name), seen),
        items=_new_bytes(folder.items, seen),
        windows=_new_bytes(folder.windows, seen),
    )


def _new_bytes(folder: Path, seen: set[tuple[int, int]]) -> int:
    """Bytes of the files that were not counted before."""
    total = 0
    for inode, size in _files(folder):
        if inode not in seen:
            seen.add(inode)
            total += size
    return total


def _files(folder: Path) -> Iterator[tuple[tuple[int, int], int]]:
    for _, state in files_below(folder, hidden=True):
        yield (state.st_dev, state.st_ino), state.st_size
