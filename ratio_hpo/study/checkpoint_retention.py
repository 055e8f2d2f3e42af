"""Weights that are kept: those of the front, of its best point, of every trial's end, or none."""

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
from ratio_hpo.study.front import FrontPoint, front

Keep = Literal["front", "best", "all", "none"]
"""`front`: every point of the front; `best`: its most accurate one; `all`: also the end of each trial; `none`.

The end of the recommended trial is kept with each but `none`."""

MODEL_FILES = ("model.safetensors", "config.json")
META, STAGE_STATE = "ratio-hpo.json", "state.json"


def kept_points(
    records: Sequence[TrialRecord],
    keep: str,
    recommended: TrialRecord | None,
    members: Sequence[FrontPoint] | None = None,
) -> list[FrontPoint]:
    """The points (trial, rung) whose weights are kept.

    Args:
        recommended: the trial that is recommended now; its end is kept.
        members: of the front, where they are known; None: worked out.
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
    """Keeps one loadable folder for each point that is kept.

    Args:
        root: folder of this study's kept weights.
        stages: the stage store, which names of checkpoints start from.
        extras: a folder whose files belong to every model (its tokenizer); None: nothing.
        remote_store: where stages of other machines are, which are copied; None: here, or there are none.
        patience: seconds that a fault of the disk is waited for.
        say: is told when it is waited for.
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
        """Make the kept folders those that are to be kept.

        A point whose checkpoint the stage store has let go of already is left without weights.

        Raises:
            FileFault: the disk is at fault for longer than it is waited for.
        """

        def once() -> None:
            with faults_of_files():
                self._update(records, recommended, members)

        retry_call(
            once, what="kept weights", passes=is_fault, reason_of=in_one_line, patience=self._patience, say=self._say
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
        """The files of each model of a point that is stored, by the folder that it goes to; of one, the point's."""
        progress = point.progress
        names = dict(progress.models) or ({"": progress.weights} if progress.weights else {})
        found = {target: model_files(self._stages / name.partition("#")[0], name.partition("#")[2])
                 for target, name in names.items()}  # fmt: skip
        return {target: files for target, files in found.items() if all(map(self._is_stored, files.values()))}

    def _is_stored(self, file: Path) -> bool:
        return file.is_file() or (self._remote_store is not None and self._remote_store.has(file))

    def _copy(self, models: Mapping[str, Mapping[str, Path]], folder: Path, point: FrontPoint) -> None:
        extras = entries(self._extras) if self._extras else []
        about = {
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
                        self._bring(file, part / target / name)
                    for file in extras:
                        _link(file, part / target / file.name)
                files = {path.relative_to(part).as_posix(): path for path, _ in files_below(part)}
                sums = {name: fingerprint_file(path) for name, path in sorted(files.items())}
                (part / META).write_text(json.dumps({**about, "sums": sums}, indent=1))
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and not is_disk_full(error):
                raise
            return  # evicted meanwhile, or no room: the point stays without weights

    def _bring(self, file: Path, copy: Path) -> None:
        """A file of a model into its place.

        Raises:
            OSError: it was evicted meanwhile, or there is no room.
        """
        if file.is_file():
            written_once = (file.parent / STAGE_STATE).is_file()  # a stored stage never changes in its place
            _link(file, copy) if written_once else shutil.copy2(file, copy)
        elif self._remote_store is None or not self._remote_store.copy(file, copy):
            raise FileNotFoundError(file)


def damaged(folder: Path) -> str | None:
    """The file of kept weights that is not as it was written; None: all are."""
    try:
        sums = json.loads((folder / META).read_text())["sums"]
        return next((name for name, known in sums.items() if fingerprint_file(folder / name) != known), None)
    except (OSError, ValueError, KeyError, TypeError):
        return META


def model_files(checkpoint: Path, head: str) -> dict[str, Path]:
    """What transformers loads a model from: name of each file, and where it is in a checkpoint.

    Args:
        head: of a checkpoint of several, which is a model in parts; empty: it has one.
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
    """A hard link costs no space; across file systems it is a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
