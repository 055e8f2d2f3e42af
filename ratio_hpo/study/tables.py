"""Optuna's tables, and what we do to them below its API: names, queries, one transaction for several attributes.

Optuna's storage has no compare-and-swap for a running trial, writes one attribute a transaction, and copies whatever
it reads. So these few statements go to the tables themselves; all that is known of them stands here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
import sqlalchemy as sql
import sqlalchemy.exc
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from pydantic_core import from_json

from ratio_hpo.core.errors import StorageError

KNOWN = ("5.0",)
"""Releases of Optuna whose tables were looked at."""

TRIALS = sql.table(
    "trials",
    *(sql.column(name) for name in ("trial_id", "study_id", "number", "state")),
    sql.column("datetime_start", sql.DateTime()),
    sql.column("datetime_complete", sql.DateTime()),
)
VALUES = sql.table("trial_values", *map(sql.column, ("trial_id", "objective", "value")))
ATTRIBUTES = sql.table("trial_user_attributes", *map(sql.column, ("trial_id", "key", "value_json")))
STUDIES = sql.table("studies", *map(sql.column, ("study_id", "study_name")))
STUDY_ATTRIBUTES = sql.table("study_user_attributes", *map(sql.column, ("study_id", "key", "value_json")))

OF_OPTUNA = {
    "trials": models.TrialModel,
    "trial_values": models.TrialValueModel,
    "trial_user_attributes": models.TrialUserAttributeModel,
    "studies": models.StudyModel,
    "study_user_attributes": models.StudyUserAttributeModel,
}


def check_tables() -> None:
    """Refuse an Optuna that keeps its studies in other tables than those we write to.

    Raises:
        StorageError: with the releases that are known.
    """
    for table in (TRIALS, VALUES, ATTRIBUTES, STUDIES, STUDY_ATTRIBUTES):
        model: Any = OF_OPTUNA[table.name]
        missing = [c.name for c in table.columns if c.name not in model.__table__.columns]
        if model.__tablename__ != table.name or missing:
            place = f"{table.name}.{missing[0]}" if missing else table.name
            raise StorageError(
                f"optuna {optuna.__version__} keeps no {place}; install one of those that are known: "
                + ", ".join(f"optuna=={known}.*" for known in KNOWN)
            )


def write_attributes(storage: RDBStorage, trial_id: int, values: Mapping[str, Any]) -> None:
    """Set user attributes of a trial in one transaction."""
    with storage.engine.begin() as connection:
        _put(connection, trial_id, values)


def swap_attribute(
    storage: RDBStorage, trial_id: int, key: str, old: Any, new: Any, also: Mapping[str, Any] | None = None
) -> bool:
    """Set an attribute only if it still holds `old` (None: only if it is absent). Atomic.

    Args:
        also: other attributes to set in the same transaction, if it was set.

    Returns:
        Whether it was set; False where somebody else was first.
    """
    where = (ATTRIBUTES.c.trial_id == trial_id, ATTRIBUTES.c.key == key)
    try:
        with storage.engine.begin() as connection:
            if old is None:
                row = {"trial_id": trial_id, "key": key, "value_json": json.dumps(new)}
                connection.execute(sql.insert(ATTRIBUTES).values(row))
            else:
                still = ATTRIBUTES.c.value_json == json.dumps(old)
                update = sql.update(ATTRIBUTES).where(*where, still).values(value_json=json.dumps(new))
                if connection.execute(update).rowcount != 1:
                    return False
            if also:
                _put(connection, trial_id, also)
            return True
    except sqlalchemy.exc.IntegrityError:
        return False


def read_attribute(storage: RDBStorage, trial_id: int, key: str) -> Any:
    """One user attribute of a trial; None where it is absent."""
    query = sql.select(ATTRIBUTES.c.value_json).where(ATTRIBUTES.c.trial_id == trial_id, ATTRIBUTES.c.key == key)
    with storage.engine.connect() as connection:
        row = connection.execute(query).first()
    return json.loads(row[0]) if row else None


def trial_rows(storage: RDBStorage, study_id: int, *, since: int = 0, among: Sequence[int] = ()) -> Sequence[Any]:
    """Rows of `TRIALS` of a study, by number.

    Args:
        since: those of this number and after it.
        among: and those of these ids.
    """
    wanted = TRIALS.c.number >= since
    if among:
        wanted = sql.or_(wanted, TRIALS.c.trial_id.in_(list(among)))
    query = sql.select(TRIALS).where(TRIALS.c.study_id == study_id, wanted).order_by(TRIALS.c.number)
    with storage.engine.connect() as connection:
        return connection.execute(query).all()


def trial_contents(
    storage: RDBStorage, study_id: int, trial_ids: Iterable[int] | None = None
) -> tuple[dict[int, dict[str, Any]], dict[int, list[float]]]:
    """User attributes and values by trial id, in two queries.

    Args:
        trial_ids: of the trials that are wanted; None: all of the study.
    """
    wanted = [TRIALS.c.study_id == study_id]
    if trial_ids is not None:
        wanted.append(TRIALS.c.trial_id.in_(list(trial_ids)))
    attributes: dict[int, dict[str, Any]] = {}
    values: dict[int, list[float]] = {}
    with storage.engine.connect() as connection:
        joined = TRIALS.join(ATTRIBUTES, TRIALS.c.trial_id == ATTRIBUTES.c.trial_id)
        columns = (ATTRIBUTES.c.trial_id, ATTRIBUTES.c.key, ATTRIBUTES.c.value_json)
        for trial_id, key, text in connection.execute(sql.select(*columns).select_from(joined).where(*wanted)):
            attributes.setdefault(trial_id, {})[key] = from_json(text)
        joined = TRIALS.join(VALUES, TRIALS.c.trial_id == VALUES.c.trial_id)
        query = sql.select(VALUES.c.trial_id, VALUES.c.value).select_from(joined).where(*wanted)
        for trial_id, value in connection.execute(query.order_by(VALUES.c.objective)):
            values.setdefault(trial_id, []).append(value)
    return attributes, values


def _put(connection: sql.Connection, trial_id: int, values: Mapping[str, Any]) -> None:
    keys = list(values)
    connection.execute(sql.delete(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == trial_id, ATTRIBUTES.c.key.in_(keys)))
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(values[key])} for key in keys]
    connection.execute(sql.insert(ATTRIBUTES), rows)
