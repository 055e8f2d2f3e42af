"""Weights of the members of the front: kept when a point joins, deleted when it leaves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.study.front import FrontPoint, front

MODEL_FILES = ("model.safetensors", "config.json")
META = "ratio-hpo.json"


class WeightKeeper:
    """Keeps one loadable folder for each member of the front.

    Args:
        root: folder of this study's kept weights.
        extras: a folder whose files belong to every model (its tokenizer); None: nothing.
    """

    def __init__(self, root: Path, extras: Path | None = None) -> None:
        self.root, self._extras = root, extras

    def update(self, records: Sequence[TrialRecord]) -> list[FrontPoint]:
        """Make the kept folders those of the front; returns the front.

        A member whose checkpoint the stage store has let go of already is left without weights.
        """
        members = front(records)
        wanted = {member.key: member for member in members}
        if self.root.is_dir():
            for folder in self.root.iterdir():
                if folder.name not in wanted:
                    shutil.rmtree(folder, ignore_errors=True)
        for key, member in wanted.items():
            source = Path(member.progress.weights) if member.progress.weights else None
            if source is not None and source.is_dir() and not (self.root / key).is_dir():
                self._keep(source, self.root / key, member)
        return members

    def _keep(self, source: Path, folder: Path, member: FrontPoint) -> None:
        temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        extras = list(self._extras.iterdir()) if self._extras else []
        try:
            for file in [*(source / name for name in MODEL_FILES), *extras]:
                _link(file, temporary / file.name)
            about = {
                "trial": member.trial.number,
                "stage": member.progress.stage,
                "windows": member.progress.windows,
                "cost": member.progress.cost,
                "f1": member.progress.mean_f1,
                "params": member.trial.params,
            }
            (temporary / META).write_text(json.dumps(about, indent=1))
            temporary.rename(folder)
        except OSError:  # evicted meanwhile, kept by another driver, or no room: the member stays without weights
            shutil.rmtree(temporary, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """A hard link costs no space; across file systems it is a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
