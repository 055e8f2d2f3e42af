"""Direct access to Optuna's tables: names, queries, and transactions that write several values at once.

Optuna's storage writes one attribute per transaction, cannot make a write depend on a lease, and copies what it reads.
So these statements use the tables directly; no other module depends on their layout. The lease table is our own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import optuna
import sqlalchemy as sql
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from pydantic_core import from_json
from sqlalchemy.dialects import postgresql, sqlite

from ratio_hpo.core.errors import StorageError

KNOWN = ("5.0",)
"""Releases of Optuna whose table layout is supported."""

TRIALS = sql.table(
    "trials",
    *(sql.column(name) for name in ("trial_id", "study_id", "number")),
    sql.column("state", models.TrialModel.__table__.columns["state"].type),
    sql.column("datetime_start", sql.DateTime()),
    sql.column("datetime_complete", sql.DateTime()),
)
VALUES = sql.table("trial_values", *map(sql.column, ("trial_id", "objective", "value")))
ATTRIBUTES = sql.table("trial_user_attributes", *map(sql.column, ("trial_id", "key", "value_json")))
TRIAL_PARAMS = sql.table(
    "trial_params", *map(sql.column, ("trial_id", "param_name", "param_value", "distribution_json"))
)
STUDIES = sql.table("studies", *map(sql.column, ("study_id", "study_name")))
STUDY_ATTRIBUTES = sql.table("study_user_attributes", *map(sql.column, ("study_id", "key", "value_json")))

DONE = "done"
"""Attribute of a trial that has done all its work; it stays RUNNING until the target is known."""

INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""Supported databases, with the insert construct of each, which can overwrite existing rows."""

_OURS = sql.MetaData()
LEASES = sql.Table(
    "ratio_hpo_trial_leases",
    _OURS,
    sql.Column("trial_id", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("token", sql.String(32), nullable=False),
    sql.Column("holder", sql.Text, nullable=False),
    sql.Column("beats", sql.Integer, nullable=False),
    sql.Column("renewed", sql.Float, nullable=False),
)
"""The lease of each running trial; see `leases.py`."""

OF_OPTUNA = {
    "trials": models.TrialModel,
    "trial_values": models.TrialValueModel,
    "trial_user_attributes": models.TrialUserAttributeModel,
    "trial_params": models.TrialParamModel,
    "studies": models.StudyModel,
    "study_user_attributes": models.StudyUserAttributeModel,
}


def check_tables() -> None:
    """Check that the installed Optuna has the expected table layout.

    Raises:
        StorageError: it does not; the message names the supported releases.
    """
    for table in (TRIALS, VALUES, ATTRIBUTES, TRIAL_PARAMS, STUDIES, STUDY_ATTRIBUTES):
        model: Any = OF_OPTUNA[table.name]
        missing = [c.name for c in table.columns if c.name not in model.__table__.columns]
        if model.__tablename__ != table.name or missing:
            missing_name = f"{table.name}.{missing[0]}" if missing else table.name
            raise StorageError(
                f"optuna {optuna.__version__} has no {missing_name} in its tables; install a supported release: "
                + ", ".join(f"optuna=={release}.*" for release in KNOWN)
            )


def make_tables(engine: sql.Engine) -> None:
    """Create our own tables if they do not exist."""
    _OURS.create_all(engine)


def writer_of(study_id: int) -> int:
    """Return the number that stands for a trial id in the lease of a study's writer."""
    return -study_id


_LOCK = sql.update(STUDIES).where(STUDIES.c.study_id == sql.bindparam("of")).values(study_name=STUDIES.c.study_name)
LAST = (
    sql.select(TRIALS.c.number).where(TRIALS.c.study_id == sql.bindparam("of")).order_by(TRIALS.c.trial_id.desc())
).limit(1)
"""The number of a study's last trial. Numbers have no gaps, and counting trials would be slower in large studies."""


def putting(insert: Any, table: sql.TableClause) -> Any:
    """Return an insert that overwrites the row of the same trial and key."""
    trial, key, *others = (column.name for column in table.columns)
    return insert.on_conflict_do_update(
        index_elements=[trial, key], set_={name: insert.excluded[name] for name in others}
    )


_PUT_ATTRIBUTES = {name: putting(insert(ATTRIBUTES), ATTRIBUTES) for name, insert in INSERTS.items()}
_PUT_PARAMS = {name: putting(insert(TRIAL_PARAMS), TRIAL_PARAMS) for name, insert in INSERTS.items()}


def lock_study(connection: sql.Connection, study_id: int) -> None:
    """Prevent others from creating or starting trials of a study until the transaction ends, as Optuna does."""
    connection.execute(_LOCK, {"of": study_id})


def new_trial(connection: sql.Connection, study_id: int, number: int, at: datetime) -> int:
    """Create a running trial in a locked study.

    Returns:
        Optuna's id of the trial.
    """
    row = {"number": number, "study_id": study_id, "state": TrialState.RUNNING, "datetime_start": at}
    return connection.execute(sql.insert(TRIALS).returning(TRIALS.c.trial_id), row).scalar_one()


def start_trial(connection: sql.Connection, trial_id: int, at: datetime) -> int | None:
    """Start a waiting trial and return its id; return None if it is no longer waiting."""
    waits = sql.update(TRIALS).where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.WAITING)
    started = connection.execute(waits.values(state=TrialState.RUNNING, datetime_start=at))
    return trial_id if started.rowcount == 1 else None


def add_waiting(connection: sql.Connection, study_id: int, attributes: Sequence[Mapping[str, Any]]) -> None:
    """Append waiting trials to a locked study."""
    if not attributes:
        return
    last = connection.execute(LAST, {"of": study_id}).scalar()
    number = 0 if last is None else last + 1
    for k, values in enumerate(attributes):
        row = {"number": number + k, "study_id": study_id, "state": TrialState.WAITING}
        trial_id = connection.execute(sql.insert(TRIALS).returning(TRIALS.c.trial_id), row).scalar_one()
        put_attributes(connection, trial_id, values)


def put_attributes(connection: sql.Connection, trial_id: int, values: Mapping[str, Any]) -> None:
    """Set user attributes of a trial, also of a finished one, which Optuna's API does not do."""
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in values.items()]
    connection.execute(_PUT_ATTRIBUTES[connection.dialect.name], rows)


def has_attributes(connection: sql.Connection, trial_id: int, values: Mapping[str, Any]) -> bool:
    """Return whether a trial has these user attributes."""
    query = sql.select(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == trial_id, ATTRIBUTES.c.key.in_(list(values)))
    stored = {row.key: from_json(row.value_json) for row in connection.execute(query)}
    return stored == dict(values)


def put_params(
    connection: sql.Connection, trial_id: int, place: Mapping[str, float], domains: Mapping[str, BaseDistribution]
) -> None:
    """Set the parameters of a trial in Optuna's representation, overwriting existing ones."""
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": domains[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(domains[name]),
        }
        for name, value in place.items()
    ]
    if rows:
        connection.execute(_PUT_PARAMS[connection.dialect.name], rows)


@dataclass(frozen=True, slots=True)
class End:
    """Final state, values and time of a trial; only a COMPLETE trial has values."""

    state: TrialState
    values: Sequence[float] = ()
    moment: datetime = field(default_factory=datetime.now)


def put_end(connection: sql.Connection, trial_id: int, end: End) -> bool:
    """End a running trial, as Optuna's `set_trial_state_values` does; return False if it is not running."""
    running = sql.update(TRIALS).where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.RUNNING)
    if connection.execute(running.values(state=end.state, datetime_complete=end.moment)).rowcount != 1:
        return False
    table: Any = models.TrialValueModel.__table__
    stored = [models.TrialValueModel.value_to_stored_repr(value) for value in end.values]
    rows = [
        {"trial_id": trial_id, "objective": k, "value": value, "value_type": kind}
        for k, (value, kind) in enumerate(stored)
    ]
    if rows:
        connection.execute(sql.insert(table), rows)
    return True


@dataclass(frozen=True, slots=True)
class Rows:
    """Stored data of trials.

    Attributes:
        trials: rows of `TRIALS`, by number.
        attributes, values, leases: by Optuna's trial id; leases are rows of `LEASES`.
    """

    trials: Sequence[Any]
    attributes: Mapping[int, Mapping[str, Any]]
    values: Mapping[int, Sequence[float]]
    leases: Mapping[int, Any]


def read_rows(
    connection: sql.Connection, study_id: int, *, since: int = 0, among: Sequence[int] = (), waiting: bool = True
) -> Rows:
    """Read the stored data of a study's trials.

    Args:
        since: read the trials with this number or a higher one.
        among: read the trials with these Optuna ids as well.
        waiting: whether to include waiting trials of `among`.
    """
    condition = TRIALS.c.number >= since
    if among:
        listed = TRIALS.c.trial_id.in_(list(among))
        if not waiting:
            listed &= TRIALS.c.state != TrialState.WAITING
        condition = sql.or_(condition, listed)
    query = sql.select(TRIALS).where(TRIALS.c.study_id == study_id, condition).order_by(TRIALS.c.number)
    trials = connection.execute(query).all()
    if not trials:
        return Rows((), {}, {}, {})
    whole = since == 0  # a study may have more trials than one statement can list
    of_study = sql.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    ids = of_study if whole else [row.trial_id for row in trials]
    attributes: dict[int, dict[str, Any]] = {}
    values: dict[int, list[float]] = {}
    leases: dict[int, Any] = {}
    for trial_id, key, text in connection.execute(sql.select(ATTRIBUTES).where(ATTRIBUTES.c.trial_id.in_(ids))):
        attributes.setdefault(trial_id, {})[key] = from_json(text)
    states = {row.state for row in trials}
    if TrialState.COMPLETE in states:
        ordered = sql.select(VALUES).where(VALUES.c.trial_id.in_(ids)).order_by(VALUES.c.objective)
        for row in connection.execute(ordered):
            values.setdefault(row.trial_id, []).append(row.value)
    if TrialState.RUNNING in states:
        lease_rows = connection.execute(sql.select(LEASES).where(LEASES.c.trial_id.in_(ids)))
        leases = {row.trial_id: row for row in lease_rows}
    return Rows(trials, attributes, values, leases)
