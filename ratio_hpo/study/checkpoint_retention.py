"""Checkpoint retention: keep the weights of the front, of its best point, of every trial's end, or none."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ratio_hpo.core.errors import in_one_line
from ratio_hpo.core.files import entries, faults_of_files, files_below, is_disk_full, is_fault, remove, written_whole
from ratio_hpo.core.fingerprint import fingerprint_file
from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.core.retry import retry_call
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.metrics.front import FrontPoint, front

Keep = Literal["front", "best", "all", "none"]
"""`front`: every point of the front; `best`: the point of the front with the highest score; `all`: the front and the
last point of each trial; `none`: nothing.

All but `none` also keep the last point of the recommended trial."""

MODEL_FILES = ("model.safetensors", "config.json")
META, STAGE_STATE = "ratio-hpo.json", "state.json"


def kept_points(
    records: Sequence[TrialRecord],
    keep: str,
    recommended: TrialRecord | None,
    members: Sequence[FrontPoint] | None = None,
) -> list[FrontPoint]:
    """Return the points (trial, rung) whose weights are kept.

    Args:
        records: all trials of the study.
        keep: one of the values of `Keep`.
        recommended: currently recommended trial, whose last point is kept; None if there is none.
        members: points of the front; None to compute them.
    """
    if keep == "none":
        return []
    kept = list(front(records) if members is None else members)
    if keep == "best":
        kept = kept[-1:]
    ended = records if keep == "all" else [recommended] if recommended is not None else []
    present = {member.key for member in kept}
    ends = [FrontPoint(record, record.scored[-1]) for record in ended if record.scored]
    return kept + [end for end in ends if end.key not in present]


class CheckpointRetention:
    """Maintains one loadable model folder for each point whose weights are kept.

    Args:
        root: folder of the kept weights of this study.
        stages: folder of the stage store; checkpoint names are relative to it.
        extras: folder whose files are added to every model (the tokenizer); None to add nothing.
        keep: points whose weights are kept.
        remote_store: remote store to copy stages of other machines from; None if there is none.
        patience: how long to keep retrying after a disk error, in seconds.
        say: called with a message when retrying starts and ends.
    """

    root: Path

    def __init__(
        self,
        root: Path,
        stages: Path,
        extras: Path | None = None,
        keep: Keep = "front",
        remote_store: RemoteStore | None = None,
        *,
        patience: float = 0.0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.root, self._stages, self._extras, self._remote_store = root, stages, extras, remote_store
        self._keep: Keep = keep
        self._patience, self._say = patience, say

    def update(
        self,
        records: Sequence[TrialRecord],
        recommended: TrialRecord | None = None,
        members: Sequence[FrontPoint] | None = None,
    ) -> None:
        """Add the folders of new points, and delete the folders of points that are no longer kept.

        A point whose checkpoint was already evicted from the stage store gets no folder.

        Raises:
            FileFault: a disk error lasted longer than `patience`.
        """

        def update_once() -> None:
            with faults_of_files():
                self._update(records, recommended, members)

        retry_call(
            update_once,
            what="kept weights",
            passes=is_fault,
            reason_of=in_one_line,
            patience=self._patience,
            say=self._say,
        )

    def _update(
        self, records: Sequence[TrialRecord], recommended: TrialRecord | None, members: Sequence[FrontPoint] | None
    ) -> None:
        wanted = {point.key: point for point in kept_points(records, self._keep, recommended, members)}
        for folder in entries(self.root):
            if folder.name not in wanted:
                remove(folder)
        for key, point in wanted.items():
            models = self._models(point)
            if models and not (self.root / key).is_dir():
                self._copy(models, self.root / key, point)

    def _models(self, point: FrontPoint) -> dict[str, dict[str, Path]]:
        """Return the files of each stored model of a point, by target folder; a single model has the target `""`."""
        progress = point.progress
        names = dict(progress.models) or ({"": progress.weights} if progress.weights else {})
        models = {target: model_files(self._stages / name.partition("#")[0], name.partition("#")[2])
                  for target, name in names.items()}  # fmt: skip
        return {target: files for target, files in models.items() if all(map(self._is_stored, files.values()))}

    def _is_stored(self, file: Path) -> bool:
        return file.is_file() or (self._remote_store is not None and self._remote_store.has(file))

    def _copy(self, models: Mapping[str, Mapping[str, Path]], folder: Path, point: FrontPoint) -> None:
        extras = entries(self._extras) if self._extras else []
        metadata = {
            "trial": point.trial.number,
            "stage": point.progress.stage,
            "windows": point.progress.windows,
            "cost": point.progress.cost,
            "score": point.progress.primary_score,
            "params": point.trial.params,
        }
        try:
            with written_whole(folder) as part:
                part.mkdir()
                for target, files in models.items():
                    (part / target).mkdir(exist_ok=True)
                    for name, file in files.items():
                        self._add_file(file, part / target / name)
                    for file in extras:
                        _link(file, part / target / file.name)
                files = {path.relative_to(part).as_posix(): path for path, _ in files_below(part)}
                sums = {name: fingerprint_file(path) for name, path in sorted(files.items())}
                (part / META).write_text(json.dumps({**metadata, "sums": sums}, indent=1))
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and not is_disk_full(error):
                raise
            return  # the checkpoint was evicted meanwhile or the disk is full: the point gets no weights

    def _add_file(self, file: Path, copy: Path) -> None:
        """Link or copy one file of a model.

        Raises:
            OSError: the file was evicted meanwhile, or the disk is full.
        """
        if file.is_file():
            written_once = (file.parent / STAGE_STATE).is_file()  # stored stages never change: a link is safe
            _link(file, copy) if written_once else shutil.copy2(file, copy)
        elif self._remote_store is None or not self._remote_store.copy(file, copy):
            raise FileNotFoundError(file)


def damaged(folder: Path) -> str | None:
    """Return the name of the first damaged file in a folder of kept weights; None if all files are intact."""
    try:
        sums = json.loads((folder / META).read_text())["sums"]
        return next((name for name, expected in sums.items() if fingerprint_file(folder / name) != expected), None)
    except (OSError, ValueError, KeyError, TypeError):
        return META


def model_files(checkpoint: Path, head: str) -> dict[str, Path]:
    """Return the files that transformers loads a model from, as a mapping from file name to path in a checkpoint.

    Args:
        checkpoint: folder of the checkpoint.
        head: name of the head in a checkpoint with several heads, which stores a sharded model; empty if it has one.
    """
    if not head:
        return {name: checkpoint / name for name in MODEL_FILES}
    return {
        "config.json": checkpoint / f"config-{head}.json",
        "model.safetensors.index.json": checkpoint / f"index-{head}.json",
        "encoder.safetensors": checkpoint / "encoder.safetensors",
        f"head-{head}.safetensors": checkpoint / f"head-{head}.safetensors",
    }


def _link(source: Path, target: Path) -> None:
    """Create a hard link, which takes no space, or a copy if the file system does not allow a link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
