"""Machine faults are distinguished from user mistakes, and operating-system errors are recognised by their text."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import SafetensorError

from ratio_hpo.backends.trial_steps import TrialEnd, next_step, stream_of
from ratio_hpo.core import retry
from ratio_hpo.core.errors import FileFault, ResumeError, StorageFullError
from ratio_hpo.core.files import (
    abandoned,
    entries,
    error_numbers,
    faults_of_files,
    files_below,
    is_disk_full,
    is_fault,
    written_whole,
)
from ratio_hpo.core.trial import Context, Params, Progress


@pytest.mark.parametrize(
    ("error", "numbers"),
    [
        (OSError(errno.EIO, "Input/output error"), {errno.EIO}),
        (SafetensorError("Error while serializing: I/O error: Disk quota exceeded (os error 122)"), {errno.EDQUOT}),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), {errno.ENOSPC}),
        (RuntimeError("[enforce fail at inline_container.cc] . unexpected pos; Input/output error"), {errno.EIO}),
        (OSError("Error writing bytes to file. Detail: [errno 116] Stale file handle"), {errno.ESTALE}),
        (ValueError("no number at all"), set()),
    ],
)
def test_the_operating_systems_error_is_found(error: Exception, numbers: set[int]) -> None:
    assert error_numbers(error) == numbers


def test_it_is_found_behind_another_error() -> None:
    error = ValueError("the library's own words")
    error.__cause__ = OSError(errno.EDQUOT, "Disk quota exceeded")
    assert is_disk_full(error)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (OSError(errno.EROFS, "Read-only file system"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (FileFault("a file"), True),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (KeyError("learning_rate"), False),
    ],
)
def test_faults_of_the_machine_are_told_from_mistakes(error: Exception, is_one: bool) -> None:
    assert is_fault(error) is is_one


def test_where_all_files_are_ours_any_error_of_them_is_a_fault() -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    wrapped = ResumeError("a stage: cannot be read")
    wrapped.__cause__ = denied
    serializing = RuntimeError("Error while serializing: I/O error: Permission denied (os error 13)")
    for error in (denied, FileNotFoundError(errno.ENOENT, "gone"), wrapped, serializing):
        with pytest.raises(FileFault, match="check the disk"), faults_of_files():
            raise error
    with pytest.raises(StorageFullError), faults_of_files():
        raise StorageFullError("a full disk has words of its own")
    with pytest.raises(KeyError), faults_of_files():
        raise KeyError("a mistake stays one")


class Flaky:
    """An objective whose third evaluation raises a disk error `fails` times."""

    def __init__(self, fails: int, number: int = errno.EIO) -> None:
        self.fails, self.number, self.begun = fails, number, 0

    def __call__(self, params: Params, context: Context) -> Iterator[Progress]:
        self.begun += 1
        for windows in (10, 20, 30):
            if windows == 30 and self.fails:
                self.fails -= 1
                raise OSError(self.number, "a fault")
            yield Progress(stage="target", windows=windows, cost=windows, scores={"f1/en": 0.5})


def steps_of(objective: Flaky, patience: float) -> list[Progress | TrialEnd]:
    stream = stream_of(lambda: objective, {}, Context(trial=0, seed=0, root="", patience=patience))
    steps: list[Progress | TrialEnd] = []
    while not steps or isinstance(steps[-1], Progress):
        steps.append(next_step(stream))
    return steps


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(retry, "MAX_PAUSE", 0.01)


def test_a_trial_outlasts_a_fault_and_begins_again(capsys: pytest.CaptureFixture[str]) -> None:
    objective = Flaky(fails=2)
    *points, end = steps_of(objective, patience=5.0)
    assert [point.windows for point in points] == [10, 20, 10, 20, 10, 20, 30]  # type: ignore[union-attr]
    assert end == TrialEnd()
    assert objective.begun == 3
    said = capsys.readouterr().err.splitlines()
    assert "retrying for up to 5 s" in said[0]
    assert "available again after" in said[1]


def test_a_fault_that_stays_blocks_the_search_and_fails_no_trial() -> None:
    end = steps_of(Flaky(fails=10**6), patience=0.05)[-1]
    assert isinstance(end, TrialEnd)
    assert end.blocked
    assert "Errno 5" in str(end.reason)


def test_a_mistake_of_an_objective_is_not_waited_for() -> None:
    objective = Flaky(fails=1, number=errno.ENOENT)
    end = steps_of(objective, patience=60.0)[-1]
    assert isinstance(end, TrialEnd)
    assert (end.blocked, objective.begun) == (False, 1)


def test_listings_leave_out_what_is_being_written(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "file").write_text("x")
    with written_whole(tmp_path / "new") as part:
        part.mkdir()
        (part / "file").write_text("half")
        assert entries(tmp_path) == [tmp_path / "whole"]
        assert [path for path, _ in files_below(tmp_path)] == [tmp_path / "whole" / "file"]
        assert list(abandoned(tmp_path, seconds=0.0)) == [part]
        assert list(abandoned(tmp_path, seconds=60.0)) == []
    assert entries(tmp_path / "absent") == entries(tmp_path / "whole" / "file") == []
