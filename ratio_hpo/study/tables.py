"""Optuna's tables, and what we do to them below its API: names, queries, one transaction for what belongs together.

Optuna's storage writes one attribute a transaction, knows no lease that a write could hang on, and copies whatever it
reads. So these few statements go to the tables themselves; all that is known of them stands here. One table is ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
import sqlalchemy as sql
from optuna.storages._rdb import models
from optuna.trial import TrialState
from pydantic_core import from_json

from ratio_hpo.core.errors import StorageError
from ratio_hpo.study.patience import PatientStorage

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

_OURS = sql.MetaData()
LEASES = sql.Table(
    "ratio_hpo_leases",
    _OURS,
    sql.Column("kind", sql.String(16), primary_key=True),
    sql.Column("ref", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("token", sql.String(32), nullable=False),
    sql.Column("holder", sql.Text, nullable=False),
    sql.Column("beats", sql.Integer, nullable=False),
    sql.Column("renewed", sql.Float, nullable=False),
)
"""Who works on what; `leases.py` says how."""

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


def make_tables(engine: sql.Engine) -> None:
    """Make the tables that are ours, where they are not there."""
    _OURS.create_all(engine)


def put_attributes(connection: sql.Connection, trial_id: int, values: Mapping[str, Any]) -> None:
    """Set user attributes of a trial; past Optuna's API, which would pass over those of finished trials."""
    keys = list(values)
    connection.execute(sql.delete(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == trial_id, ATTRIBUTES.c.key.in_(keys)))
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(values[key])} for key in keys]
    connection.execute(sql.insert(ATTRIBUTES), rows)


def put_end(connection: sql.Connection, trial_id: int, state: TrialState, values: Sequence[float] | None) -> bool:
    """End a running trial, as Optuna's `set_trial_state_values` does; False where it has ended."""
    trials: Any = models.TrialModel.__table__
    running = sql.update(trials).where(trials.c.trial_id == trial_id, trials.c.state == TrialState.RUNNING)
    if connection.execute(running.values(state=state, datetime_complete=datetime.now())).rowcount != 1:
        return False
    table: Any = models.TrialValueModel.__table__
    stored = [models.TrialValueModel.value_to_stored_repr(value) for value in values or ()]
    rows = [
        {"trial_id": trial_id, "objective": k, "value": value, "value_type": kind}
        for k, (value, kind) in enumerate(stored)
    ]
    if rows:
        connection.execute(sql.insert(table), rows)
    return True


def trial_rows(storage: PatientStorage, study_id: int, *, since: int = 0, among: Sequence[int] = ()) -> Sequence[Any]:
    """Rows of `TRIALS` of a study, by number.

    Args:
        since: those of this number and after it.
        among: and those of these ids.
    """
    wanted = TRIALS.c.number >= since
    if among:
        wanted = sql.or_(wanted, TRIALS.c.trial_id.in_(list(among)))
    query = sql.select(TRIALS).where(TRIALS.c.study_id == study_id, wanted).order_by(TRIALS.c.number)
    return storage.run(lambda connection: connection.execute(query).all())


def trial_contents(
    storage: PatientStorage, study_id: int, trial_ids: Iterable[int] | None = None
) -> tuple[dict[int, dict[str, Any]], dict[int, list[float]]]:
    """User attributes and values by trial id, in two queries.

    Args:
        trial_ids: of the trials that are wanted; None: all of the study.
    """
    wanted = [TRIALS.c.study_id == study_id]
    if trial_ids is not None:
        wanted.append(TRIALS.c.trial_id.in_(list(trial_ids)))
    joined = TRIALS.join(ATTRIBUTES, TRIALS.c.trial_id == ATTRIBUTES.c.trial_id)
    columns = (ATTRIBUTES.c.trial_id, ATTRIBUTES.c.key, ATTRIBUTES.c.value_json)
    of_attributes = sql.select(*columns).select_from(joined).where(*wanted)
    joined = TRIALS.join(VALUES, TRIALS.c.trial_id == VALUES.c.trial_id)
    of_values = sql.select(VALUES.c.trial_id, VALUES.c.value).select_from(joined).where(*wanted)

    def work(connection: sql.Connection) -> tuple[dict[int, dict[str, Any]], dict[int, list[float]]]:
        attributes: dict[int, dict[str, Any]] = {}
        values: dict[int, list[float]] = {}
        for trial_id, key, text in connection.execute(of_attributes):
            attributes.setdefault(trial_id, {})[key] = from_json(text)
        for trial_id, value in connection.execute(of_values.order_by(VALUES.c.objective)):
            values.setdefault(trial_id, []).append(value)
        return attributes, values

    return storage.run(work)
