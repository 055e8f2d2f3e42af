"""Rename and delete studies, including their weights and MLflow runs."""

from __future__ import annotations

from collections.abc import Callable

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.files import remove
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import reason_of
from ratio_hpo.experiment.track import delete_runs, rename_runs
from ratio_hpo.storage.connect import Storage
from ratio_hpo.study import manage as admin
from ratio_hpo.study.create_or_load import has_study
from ratio_hpo.study.plan import CONFIRMATION
from ratio_hpo.study.snapshot import view_study


def rename(storage: Storage, folder: RunFolder, old: str, new: str, tracking_uri: str | None = None) -> str | None:
    """Rename a study, its kept weights, its MLflow runs and its confirmation.

    The name in the storage changes last, so that the same call completes an interrupted rename.

    Args:
        storage: Storage of the study.
        folder: The run folder.
        old: Current name.
        new: New name.
        tracking_uri: URI of the MLflow store. None: the store of the last search.

    Returns:
        Why the runs could not be renamed, or None if they were.

    Raises:
        StudyError: The old name does not exist, the new name exists, or the study is in use.
        ConfigError: The new name is not valid in paths.
    """
    weights, new_weights = folder.weights(old), folder.weights(new)
    if weights.is_dir() and new_weights.exists():
        raise StudyError(f"{new_weights} already holds weights; choose another name, or move them")
    admin.check_rename(storage, old, new)
    admin.begin_change(storage, old, ("rename", new))
    problem = None
    if has_study(storage, old + CONFIRMATION):
        problem = rename(storage, folder, old + CONFIRMATION, new + CONFIRMATION, tracking_uri)
    problem = _in_mlflow(lambda: rename_runs(storage, old, new, folder, tracking_uri)) or problem
    if weights.is_dir():
        weights.rename(new_weights)
    admin.rename_study(storage, old, new)
    return problem


def delete(storage: Storage, folder: RunFolder, name: str, tracking_uri: str | None = None) -> str | None:
    """Delete a study: its trials, kept weights, MLflow runs and confirmation.

    Stored stages are kept for other studies. Trials are deleted last, so that the same call completes an interrupted
    deletion.

    Args:
        storage: Storage of the study.
        folder: The run folder.
        name: Name of the study.
        tracking_uri: URI of the MLflow store. None: the store of the last search.

    Returns:
        Why the runs could not be deleted, or None if they were.

    Raises:
        StudyError: The study does not exist, or is in use.
    """
    view, confirmed = view_study(storage, name), has_study(storage, name + CONFIRMATION)
    admin.check_idle(storage, name, "delete")
    admin.begin_change(storage, name, ("delete",))
    problem = delete(storage, folder, name + CONFIRMATION, tracking_uri) if confirmed else None
    problem = _in_mlflow(lambda: delete_runs(view, folder, tracking_uri)) or problem
    remove(folder.weights(name))
    admin.delete_study(storage, name)
    return problem


def _in_mlflow(act: Callable[[], object]) -> str | None:
    """Change the MLflow runs, and return the reason if the store cannot be reached."""
    try:
        act()
    except Exception as error:  # a tracking store may raise any error, which must not stop the change of the study
        return reason_of(error)
    return None
