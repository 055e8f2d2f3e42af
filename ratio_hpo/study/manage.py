"""Administration of stored studies: list, enqueue, retry, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import optuna
from sqlalchemy import Connection

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Params, State, TrialRecord
from ratio_hpo.core.yaml import check_name
from ratio_hpo.storage import records as rec
from ratio_hpo.storage import schema
from ratio_hpo.storage.leases import drop_leases_of
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.study.create_or_load import ABOUT, check_format, enqueue_params, find_study, study_ids
from ratio_hpo.study.snapshot import view_of

CHANGING = "changing"
"""Study attribute that holds the words of the rename or delete command in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """A one-line summary of a study.

    Attributes:
        name: Name of the study.
        experiment: Name of the experiment.
        space: Name of the space.
        counts: Number of trials by state.
        target: Target score; null if it is not set yet.
        started: Start of the first trial (ISO 8601, UTC); null if no trial has started.
    """

    name: str
    experiment: str
    space: str
    counts: dict[str, int]
    target: float | None
    started: str | None


def list_studies(storage: RetryingStorage) -> list[StudySummary]:
    """Return a summary of each study in the storage, in order of creation."""
    summaries = []
    for name, study_id in study_ids(storage).items():
        attributes = storage.get_study_user_attrs(study_id)
        check_format(name, attributes)
        counts, started = storage.run(partial(schema.count_trials, study_id=study_id))
        summaries.append(
            StudySummary(
                name=name,
                experiment=attributes[ABOUT]["experiment"],
                space=attributes[ABOUT]["space"],
                counts={state.value: counts.get(state.name, 0) for state in State},
                target=attributes.get("target"),
                started=None if started is None else datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            )
        )
    return summaries


def enqueue(storage: RetryingStorage, name: str | None, params: Params, *, prunable: bool = False) -> tuple[str, int]:
    """Enqueue a trial with these parameters as the next one; missing parameters are sampled.

    Args:
        name: name of the study; None for the most recently used study.
        params: fixed parameters of the trial.
        prunable: whether the pruner may stop the trial.

    Returns:
        The study's name and the trial's number.

    Raises:
        ConfigError: a parameter is not in the space, or a value is outside its domain.
    """
    study = find_study(storage, name)
    view = view_of(storage, study)
    view.space.check(params)
    enqueue_params(study, view.space, params, {rec.PRUNABLE: prunable})
    return study.study_name, len(view.records)


def retry(storage: RetryingStorage, name: str | None = None, numbers: Sequence[int] = ()) -> tuple[str, dict[int, int]]:
    """Enqueue failed trials again as new trials with the same parameters; each failed trial is retried once.

    Args:
        name: name of the study; None for the most recently used study.
        numbers: numbers of failed trials; if empty, retry every failed trial that was not retried yet and whose
            reason is not `diverged`.

    Returns:
        The study's name, and a mapping from the failed trial's number to the new trial's number.

    Raises:
        StudyError: a trial did not fail or was already retried, or trial 0 is requested before the target is set.
    """
    study = find_study(storage, name)
    view = view_of(storage, study)
    retried = {record.retry_of: record.number for record in view.records if record.retry_of is not None}
    chosen = [view.trial(number) for number in dict.fromkeys(numbers)]
    if not numbers:
        not_retried = (record for record in view.records if record.is_failure and record.number not in retried)
        chosen = [record for record in not_retried if record.params and (record.number > 0 or view.target is not None)]
    for record in chosen:
        _check_retry(record, retried, view.target)
    new_numbers, space = {}, view.space
    for record in chosen:
        new_numbers[record.number] = len(view.records) + len(new_numbers)
        attributes = {rec.KIND: record.kind, rec.RETRY_OF: record.number}
        if record.replicate_of is not None:
            attributes |= {rec.REPLICATE_OF: record.replicate_of, rec.SEED: record.seed}
        if record.is_baseline or record.replicate_of is not None:
            attributes[rec.PARAMS] = record.params
            study.enqueue_trial(space.coordinates_of(record.params), user_attrs=attributes)
        else:
            enqueue_params(study, space, record.params, attributes)
    return study.study_name, new_numbers


def check_rename(storage: RetryingStorage, old: str, new: str) -> None:
    """Check that `rename_study` can rename a study; nothing is changed.

    Raises:
        StudyError: no study has the old name, a study has the new name, or a process is running one of its trials.
        ConfigError: the new name is not valid in paths.
    """
    check_name(new, "new name")
    check_idle(storage, old, "rename")
    if new in optuna.get_all_study_names(storage):
        raise StudyError(f"a study named {new!r} already exists; choose another name")


def check_idle(storage: RetryingStorage, name: str, what: str) -> None:
    """Check that no process is running a trial of a study.

    Args:
        what: verb of the command that needs an idle study, for the error message.

    Raises:
        StudyError: the study does not exist, or a process is running one of its trials.
    """
    _check_idle(storage, find_study(storage, name), what)


def begin_change(storage: RetryingStorage, name: str, change: Sequence[str]) -> None:
    """Record the change that is about to be made to a study, so that an interrupted change can be detected.

    Args:
        change: words of the command: `delete`, or `rename` and the new name.

    Raises:
        StudyError: another change was started and not finished.
    """
    study_id = storage.get_study_id_from_name(name)
    begun = storage.get_study_user_attrs(study_id).get(CHANGING)
    if begun is not None and begun != list(change):
        raise StudyError(f"study {name}: {_command(name, begun)} was interrupted; run it again to finish it")
    storage.set_study_user_attr(study_id, CHANGING, list(change))


def unfinished(storage: RetryingStorage) -> list[str]:
    """Return the commands that finish interrupted changes of studies."""
    changes = {
        name: storage.get_study_user_attrs(study_id).get(CHANGING) for name, study_id in study_ids(storage).items()
    }
    return [_command(name, change) for name, change in changes.items() if change is not None]


def _command(name: str, change: Sequence[str]) -> str:
    return f"`{' '.join(['ratio-hpo', change[0], name, *change[1:]])}`"


def rename_study(storage: RetryingStorage, old: str, new: str) -> None:
    """Rename a study.

    Raises:
        StudyError, ConfigError: as for `check_rename`.
    """
    check_rename(storage, old, new)
    study_id = storage.get_study_id_from_name(old)

    def change(connection: Connection) -> None:
        schema.rename_study(connection, study_id, new)
        schema.delete_study_attribute(connection, study_id, CHANGING)

    storage.run(change)


def delete_study(storage: RetryingStorage, name: str) -> None:
    """Delete a study and its trials.

    Raises:
        StudyError: the study does not exist, or a process is running one of its trials.
    """
    study = find_study(storage, name)
    check_idle(storage, name, "delete")
    drop_leases_of(storage, study._study_id)
    optuna.delete_study(study_name=name, storage=storage)


def _check_retry(record: TrialRecord, retried: dict[int, int], target: float | None) -> None:
    if record.state is not State.FAIL:
        raise StudyError(f"trial {record.number} is {record.state.value}; only failed trials can be retried")
    if record.number in retried:
        raise StudyError(f"trial {record.number} was already retried, as trial {retried[record.number]}")
    if record.number == 0 and target is None:
        raise StudyError(
            "trial 0 sets the target and cannot be retried; fix the cause of its failure and start another ⟨study⟩"
        )
    if not record.params:
        raise StudyError(f"trial {record.number} failed before it had parameters, so it cannot be retried")


def _check_idle(storage: RetryingStorage, study: optuna.Study, what: str) -> None:
    view = view_of(storage, study)
    busy = [record for record in view.records if record.worker]
    if busy:
        raise StudyError(
            f"study {view.name}: {busy[0].worker} is running trial {busy[0].number}; stop it before you {what} the "
            "study"
        )
