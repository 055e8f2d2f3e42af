"""Whole studies: given another name, deleted, their failed trials tried again; weights and runs go along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.files import remove
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import reason_of
from ratio_hpo.experiment.track import delete_runs, rename_runs
from ratio_hpo.study import admin
from ratio_hpo.study.create_or_load import has_study
from ratio_hpo.study.plan import CONFIRMATION
from ratio_hpo.study.storage import Storage
from ratio_hpo.study.view import view_study


def rename(storage: Storage, folder: RunFolder, old: str, new: str, tracking_uri: str | None = None) -> str | None:
    """Give a study another name, with its kept weights and its runs in MLflow; so too its confirmation.

    The name in the storage is changed last: where this process is killed before, the same command does what is left.

    Returns:
        Why its runs could not be changed; None: they were.

    Raises:
        StudyError: there is none of the old name, one of the new name, or somebody works on it.
        ConfigError: a name that cannot stand in paths.
    """
    weights, new_weights = folder.weights(old), folder.weights(new)
    if weights.is_dir() and new_weights.exists():
        raise StudyError(f"{new_weights} holds weights already; choose another name, or move them away")
    admin.check_rename(storage, old, new)
    admin.begin_change(storage, old, ("rename", new))
    confirmed, problem = has_study(storage, old + CONFIRMATION), None
    if confirmed:
        problem = rename(storage, folder, old + CONFIRMATION, new + CONFIRMATION, tracking_uri)
    problem = _in_mlflow(lambda: rename_runs(storage, old, new, folder, tracking_uri)) or problem
    if weights.is_dir():
        weights.rename(new_weights)
    admin.rename_study(storage, old, new)
    return problem


def delete(storage: Storage, folder: RunFolder, name: str, tracking_uri: str | None = None) -> str | None:
    """Delete a study: its trials, its kept weights, its runs in MLflow, and its confirmation.

    Stored stages stay for other studies. The trials go last: where this process is killed before, the same command
    does what is left.

    Returns:
        Why its runs could not be deleted; None: they were.

    Raises:
        StudyError: there is none of that name, or somebody works on it.
    """
    view, confirmed = view_study(storage, name), has_study(storage, name + CONFIRMATION)
    admin.check_idle(storage, name, "delete")
    admin.begin_change(storage, name, ("delete",))
    problem = delete(storage, folder, name + CONFIRMATION, tracking_uri) if confirmed else None
    problem = _in_mlflow(lambda: delete_runs(view, folder, tracking_uri)) or problem
    remove(folder.weights(name))
    admin.delete_study(storage, name)
    return problem


def retry(storage: Storage, name: str | None = None, numbers: Sequence[int] = ()) -> tuple[str, dict[int, int]]:
    """Have failed trials run again, as new trials with the same parameters; each failure once.

    Args:
        numbers: of failed trials; none: all that failed for another reason than `diverged` and were not retried yet.

    Returns:
        The study's name, and the new trial's number by the failed one's.

    Raises:
        StudyError: a trial that did not fail or was retried already, or trial 0 while the target hangs on it.
    """
    return admin.retry(storage, name, numbers)


def _in_mlflow(act: Callable[[], object]) -> str | None:
    """Do to the runs what was done to the study; a store that cannot be reached takes nothing back."""
    try:
        act()
    except Exception as error:  # a tracking store may raise anything; the study is the truth and is done with
        return reason_of(error)
    return None
