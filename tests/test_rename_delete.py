"""If renaming or deleting a study is killed part way, the same command completes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo import Context, Params, Progress, Ratio, confirm, search
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.storage.connect import Storage, default_url, open_storage
from ratio_hpo.study import manage as admin
from ratio_hpo.upkeep import studies
from ratio_hpo.upkeep.doctor import examine

QUIET: dict[str, Any] = {"tracking": False, "progress": False, "isolated": False}
SPACE = {"ratio": Ratio()}


def objective(params: Params, context: Context) -> Any:
    score = 0.5 + 0.1 * params["ratio"] + 0.001 * (context.seed % 5)
    yield Progress(stage="target", windows=10, cost=10, scores={"score/mean": score})


@pytest.fixture
def made(tmp_path: Path) -> tuple[Storage, RunFolder]:
    search(objective, SPACE, rungs=[10], trials=4, study="old", root=tmp_path, **QUIET)
    confirm("old", objective=objective, space=SPACE, top=1, seeds=2, root=tmp_path, **QUIET)
    weights = RunFolder(tmp_path).weights("old") / "0-target-10"
    weights.mkdir(parents=True)
    return open_storage(default_url(tmp_path)), RunFolder(tmp_path)


class Killed(BaseException):
    """Stands for the death of the process."""


def killed_at(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, number: int, act: Callable[[], Any]) -> None:
    """Run `act`, and raise `Killed` when the named function is called for the n-th time."""
    real, calls = getattr(module, name), [0]

    def dies(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            raise Killed
        return real(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, dies)
        with pytest.raises(Killed):
            act()


def told(folder: RunFolder) -> str:
    """Return what `doctor` reports about the storage."""
    return next(check.detail for check in examine(folder.root) if check.name == "storage")


STEPS = [(admin, 1), (admin, 2), (studies, 1), (studies, 2)]


@pytest.mark.parametrize(("module", "number"), STEPS)
def test_the_same_command_completes_a_renaming(
    module: Any, number: int, made: tuple[Storage, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, folder = made
    name = "rename_study" if module is admin else "rename_runs"
    killed_at(monkeypatch, module, name, number, lambda: studies.rename(storage, folder, "old", "new"))
    assert "`ratio-hpo rename old new`" in told(folder)
    with pytest.raises(StudyError, match="`ratio-hpo rename old new` was interrupted"):
        studies.rename(storage, folder, "old", "other")
    assert studies.rename(storage, folder, "old", "new") is None
    assert sorted(study.name for study in admin.list_studies(storage)) == ["new", "new+confirm"]
    assert (folder.weights("new") / "0-target-10").is_dir()
    assert not folder.weights("old").exists()
    assert "interrupted" not in told(folder)


@pytest.mark.parametrize(("module", "number"), STEPS)
def test_the_same_command_completes_a_deletion(
    module: Any, number: int, made: tuple[Storage, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, folder = made
    name = "delete_study" if module is admin else "delete_runs"
    killed_at(monkeypatch, module, name, number, lambda: studies.delete(storage, folder, "old"))
    assert "`ratio-hpo delete old`" in told(folder)
    assert studies.delete(storage, folder, "old") is None
    assert admin.list_studies(storage) == []
    assert not folder.weights("old").exists()


def test_what_cannot_be_renamed_is_left_whole(made: tuple[Storage, RunFolder]) -> None:
    storage, folder = made
    search(objective, SPACE, rungs=[10], trials=2, study="other", root=folder.root, **QUIET)
    with pytest.raises(StudyError, match="'other' already exists"):
        studies.rename(storage, folder, "old", "other")
    assert sorted(study.name for study in admin.list_studies(storage)) == ["old", "old+confirm", "other"]
