"""Disk usage of a study's run folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ratio_hpo.core.files import files_below
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.study.view import StudyView


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


def disk_usage(view: StudyView, folder: RunFolder) -> DiskUsage:
    """Return the current disk usage; all zero if the folder is not on this machine."""
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
    """Return the bytes of files that were not counted before."""
    total = 0
    for inode, size in _files(folder):
        if inode not in seen:
            seen.add(inode)
            total += size
    return total


def _files(folder: Path) -> Iterator[tuple[tuple[int, int], int]]:
    for _, state in files_below(folder, hidden=True):
        yield (state.st_dev, state.st_ino), state.st_size
