"""What is done to studies from outside a search: list, enqueue, retry, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
import sqlalchemy as sql

from ratio_hpo.core.config import check_name
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Params, State, TrialRecord
from ratio_hpo.study import records as rec
from ratio_hpo.study.create_or_load import ABOUT, check_format, enqueue_params, find_study, study_ids
from ratio_hpo.study.leases import drop_leases_of
from ratio_hpo.study.retrying_storage import RetryingStorage
from ratio_hpo.study.samplers import fixed_values
from ratio_hpo.study.tables import STUDIES, STUDY_ATTRIBUTES, TRIALS
from ratio_hpo.study.view import view_of

CHANGING = "changing"
"""The attribute of a study that is being renamed or deleted: the words of the command."""


@dataclass(frozen=True, slots=True)
class StudySummary:
    """A study in one line.

    Attributes:
        counts: trials by state.
        started: of its first trial, in seconds since the epoch; None: no trial has begun.
    """

    name: str
    experiment: str
    space: str
    counts: dict[str, int]
    target: float | None
    started: float | None


def list_studies(storage: RetryingStorage) -> list[StudySummary]:
    """All studies of the storage, in the order in which they were made."""
    found = []
    for name, study_id in study_ids(storage).items():
        attributes = storage.get_study_user_attrs(study_id)
        check_format(name, attributes)
        counts, started = _trials_in_short(storage, study_id)
        found.append(
            StudySummary(
                name=name,
                experiment=attributes[ABOUT]["experiment"],
                space=attributes[ABOUT]["space"],
                counts=counts,
                target=attributes.get("target"),
                started=started,
            )
        )
    return found


def enqueue(storage: RetryingStorage, name: str | None, params: Params, *, prunable: bool = False) -> tuple[str, int]:
    """Have a trial with these parameters run next; those left out are sampled.

    Args:
        prunable: whether the pruner may stop it.

    Returns:
        The study's name and the trial's number.

    Raises:
        ConfigError: a parameter that the space lacks, or a value outside its domain.
    """
    study = find_study(storage, name)
    view = view_of(storage, study)
    view.space.check(params)
    enqueue_params(study, view.space, params, {rec.PRUNABLE: prunable})
    return study.study_name, len(view.records)


def retry(storage: RetryingStorage, name: str | None, numbers: Sequence[int]) -> tuple[str, dict[int, int]]:
    """Have failed trials run again, as new trials with the same parameters; each failure once.

    Args:
        numbers: of failed trials; none: all that failed for another reason than `diverged` and were not retried yet.

    Returns:
        The study's name, and the new trial's number by the failed one's.

    Raises:
        StudyError: a trial that did not fail or was retried already, or trial 0 while the target hangs on it.
    """
    study = find_study(storage, name)
    view = view_of(storage, study)
    retried = {record.retry_of: record.number for record in view.records if record.retry_of is not None}
    chosen = [view.trial(number) for number in dict.fromkeys(numbers)]
    if not numbers:
        left = (record for record in view.records if record.is_failure and record.number not in retried)
        chosen = [record for record in left if record.params and (record.number > 0 or view.target is not None)]
    for record in chosen:
        _check_retry(record, retried, view.target)
    made, space = {}, view.space
    for record in chosen:
        made[record.number] = len(view.records) + len(made)
        attributes = {rec.KIND: record.kind, rec.RETRY_OF: record.number}
        if record.replicate_of is not None:
            attributes |= {rec.REPLICATE_OF: record.replicate_of, rec.SEED: record.seed}
        if record.is_baseline or record.replicate_of is not None:
            attributes[rec.PARAMS] = record.params
            study.enqueue_trial(fixed_values(space, record.params), user_attrs=attributes)
        else:
            enqueue_params(study, space, record.params, attributes)
    return study.study_name, made


def check_rename(storage: RetryingStorage, old: str, new: str) -> None:
    """Refuse what `rename_study` would, before anything is changed.

    Raises:
        StudyError: there is none of the old name, one of the new name, or somebody works on it.
        ConfigError: a name that cannot stand in paths.
    """
    check_name(new, "new name")
    check_idle(storage, old, "rename")
    if new in optuna.get_all_study_names(storage):
        raise StudyError(f"a study named {new!r} is there already; choose another name")


def check_idle(storage: RetryingStorage, name: str, what: str) -> None:
    """Refuse to do something to a study that is worked on.

    Raises:
        StudyError: there is none of that name, or somebody works on it.
    """
    _check_idle(storage, find_study(storage, name), what)


def begin_change(storage: RetryingStorage, name: str, change: Sequence[str]) -> None:
    """Note what is about to be done to a study, so that it is known if it is cut off.

    Args:
        change: the command's words, `delete` or `rename` and the new name.

    Raises:
        StudyError: another change was begun, and not finished.
    """
    study_id = storage.get_study_id_from_name(name)
    begun = storage.get_study_user_attrs(study_id).get(CHANGING)
    if begun is not None and begun != list(change):
        raise StudyError(f"study {name}: {_command(name, begun)} was cut off; run it again to finish it")
    storage.set_study_user_attr(study_id, CHANGING, list(change))


def unfinished(storage: RetryingStorage) -> list[str]:
    """The commands that finish what was begun to be done to studies."""
    begun = {
        name: storage.get_study_user_attrs(study_id).get(CHANGING) for name, study_id in study_ids(storage).items()
    }
    return [_command(name, change) for name, change in begun.items() if change is not None]


def _command(name: str, change: Sequence[str]) -> str:
    return f"`{' '.join(['ratio-hpo', change[0], name, *change[1:]])}`"


def rename_study(storage: RetryingStorage, old: str, new: str) -> None:
    """Give a study another name.

    Raises:
        StudyError, ConfigError: as `check_rename`.
    """
    check_rename(storage, old, new)
    study_id = storage.get_study_id_from_name(old)
    update = sql.update(STUDIES).where(STUDIES.c.study_id == study_id).values(study_name=new)
    of_study, key = STUDY_ATTRIBUTES.c.study_id == study_id, STUDY_ATTRIBUTES.c.key

    def change(connection: sql.Connection) -> None:
        connection.execute(update)
        connection.execute(sql.delete(STUDY_ATTRIBUTES).where(of_study, key == CHANGING))

    storage.run(change)


def delete_study(storage: RetryingStorage, name: str) -> None:
    """Delete a study with its trials.

    Raises:
        StudyError: there is none of that name, or somebody works on it.
    """
    study = find_study(storage, name)
    check_idle(storage, name, "delete")
    drop_leases_of(storage, study._study_id)
    optuna.delete_study(study_name=name, storage=storage)


def _check_retry(record: TrialRecord, retried: dict[int, int], target: float | None) -> None:
    if record.state is not State.FAIL:
        raise StudyError(f"trial {record.number} is {record.state.value}; only failed trials can be tried again")
    if record.number in retried:
        raise StudyError(f"trial {record.number} is tried again already, as trial {retried[record.number]}")
    if record.number == 0 and target is None:
        raise StudyError(
            "trial 0 sets the target and cannot be another trial; mend its cause and start with another ⟨study⟩"
        )
    if not record.params:
        raise StudyError(f"trial {record.number} failed before it had parameters; there is nothing to try again")


def _check_idle(storage: RetryingStorage, study: optuna.Study, what: str) -> None:
    view = view_of(storage, study)
    busy = [record for record in view.records if record.worker]
    if busy:
        raise StudyError(
            f"study {view.name}: {busy[0].worker} works on trial {busy[0].number}; stop it before you {what} the study"
        )


def _trials_in_short(storage: RetryingStorage, study_id: int) -> tuple[dict[str, int], float | None]:
    """How many trials there are in each state, and when the first one began."""
    state, start = TRIALS.c.state, TRIALS.c.datetime_start
    query = sql.select(state, sql.func.count(), sql.func.min(start)).where(TRIALS.c.study_id == study_id)
    rows = storage.run(lambda connection: connection.execute(query.group_by(state)).all())
    counts = {state.name: int(count) for state, count, _ in rows}
    starts = [moment.timestamp() for _, _, moment in rows if moment is not None]
    return {each.value: counts.get(each.value, 0) for each in State}, min(starts, default=None)
