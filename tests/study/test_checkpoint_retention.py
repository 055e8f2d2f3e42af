"""Checkpoint retention keeps the selected weights and deletes the others, also after a restart."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.core.errors import FileFault
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.study import checkpoint_retention
from ratio_hpo.study.checkpoint_retention import META, CheckpointRetention, Keep, damaged, kept_points


def trial(number: int, scores: Sequence[float], folder: Path | None = None) -> TrialRecord:
    """Return a trial with one evaluation every ten windows and a stored checkpoint for each evaluation."""
    curve = []
    for k, score in enumerate(scores, 1):
        weights = None
        if folder is not None:
            weights = folder / f"{number}-{k}"
            weights.mkdir(parents=True, exist_ok=True)
            for name in ("model.safetensors", "config.json"):
                (weights / name).write_text(f"{number} {k}")
        curve.append(
            Progress(
                stage="target",
                windows=10 * k,
                cost=10.0 * k,
                scores={"score/mean": score},
                weights=weights and weights.name,
            )
        )
    return TrialRecord(number=number, state=State.COMPLETE, kind="sampled", params={"ratio": 0.5}, curve=tuple(curve))


RECORDS = [trial(0, [0.1, 0.5]), trial(1, [0.3, 0.4, 0.6]), trial(2, [0.2, 0.2])]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("front", ["1-target-10", "0-target-20", "1-target-30"]),
        ("best", ["1-target-30"]),
        ("all", ["1-target-10", "0-target-20", "1-target-30", "2-target-20"]),
        ("none", []),
    ],
)
def test_each_policy_keeps_its_points(keep: Keep, expected: list[str]) -> None:
    assert [point.key for point in kept_points(RECORDS, keep, None)] == expected


@pytest.mark.parametrize("keep", ["front", "best", "all", "none"])
def test_the_end_of_the_recommended_trial_is_kept_with_each_but_none(keep: Keep) -> None:
    keys = [point.key for point in kept_points(RECORDS, keep, RECORDS[2])]
    assert ("2-target-20" in keys) is (keep != "none")
    assert len(keys) == len(set(keys))


def test_what_leaves_the_front_is_deleted_also_after_a_restart(tmp_path: Path) -> None:
    records = [trial(0, [0.1, 0.5], tmp_path / "stages")]
    root = tmp_path / "kept"
    CheckpointRetention(root, tmp_path / "stages").update(records)
    assert {folder.name for folder in root.iterdir()} == {"0-target-10", "0-target-20"}
    assert json.loads((root / "0-target-20" / META).read_text())["score"] == 0.5
    better = [*records, trial(1, [0.6], tmp_path / "stages")]
    CheckpointRetention(root, tmp_path / "stages").update(better)  # a new process
    assert {folder.name for folder in root.iterdir()} == {"1-target-10"}
    assert (root / "1-target-10" / "model.safetensors").read_text() == "1 1"  # the weights of that rung


def test_a_checkpoint_that_is_gone_leaves_the_point_without_weights(tmp_path: Path) -> None:
    records = [trial(0, [0.5])]
    CheckpointRetention(tmp_path / "kept", tmp_path / "stages").update(records)
    assert not (tmp_path / "kept").exists()


def test_damaged_weights_are_known(tmp_path: Path) -> None:
    root = tmp_path / "kept"
    CheckpointRetention(root, tmp_path / "stages").update([trial(0, [0.5], tmp_path / "stages")])
    [folder] = root.iterdir()
    assert damaged(folder) is None
    for name in ("model.safetensors", META):
        content = (folder / name).read_bytes()
        (folder / name).unlink()  # the file is a hard link to a stored stage
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert damaged(folder) == name
        (folder / name).write_bytes(content)
    assert damaged(folder) is None


def test_a_fault_of_the_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, faults, said = checkpoint_retention.written_whole, [errno.EIO, errno.EACCES, errno.ESTALE], []

    def written_whole(path: Path) -> Any:
        if faults:
            raise OSError(faults[0], os.strerror(faults.pop(0)), str(path))
        return plain(path)

    monkeypatch.setattr(checkpoint_retention, "written_whole", written_whole)
    records = [trial(0, [0.5], tmp_path / "stages")]
    CheckpointRetention(tmp_path / "kept", tmp_path / "stages", patience=60.0, say=said.append).update(records)
    assert (tmp_path / "kept" / "0-target-10").is_dir()
    assert [line.partition(":")[0] for line in said] == ["kept weights", "kept weights"]
    faults.append(errno.EIO)
    with pytest.raises(FileFault, match="Input/output error"):
        CheckpointRetention(tmp_path / "other", tmp_path / "stages").update(records)
