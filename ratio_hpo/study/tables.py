"""Optuna's tables, and what we do to them below its API: names, queries, one transaction for what belongs together.

Optuna's storage writes one attribute a transaction, knows no lease that a write could hang on, and copies whatever it
reads. So these few statements go to the tables themselves; all that is known of them stands here. One table is ours.
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
"""Releases of Optuna whose tables were looked at."""

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
"""The attribute of a trial that did all its work; it may still run, until the target is known."""

INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""The databases that studies are kept in, with how each inserts what may be there."""

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
"""Who works on what; `leases.py` says how."""

OF_OPTUNA = {
    "trials": models.TrialModel,
    "trial_values": models.TrialValueModel,
    "trial_user_attributes": models.TrialUserAttributeModel,
    "trial_params": models.TrialParamModel,
    "studies": models.StudyModel,
    "study_user_attributes": models.StudyUserAttributeModel,
}


def check_tables() -> None:
    """Refuse an Optuna that keeps its studies in other tables than those we write to.

    Raises:
        StorageError: with the releases that are known.
    """
    for table in (TRIALS, VALUES, ATTRIBUTES, TRIAL_PARAMS, STUDIES, STUDY_ATTRIBUTES):
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


def writer_of(study_id: int) -> int:
    """The number that the lease of a study's writer has in the place of a trial's."""
    return -study_id


_LOCK = sql.update(STUDIES).where(STUDIES.c.study_id == sql.bindparam("of")).values(study_name=STUDIES.c.study_name)
LAST = (
    sql.select(TRIALS.c.number).where(TRIALS.c.study_id == sql.bindparam("of")).order_by(TRIALS.c.trial_id.desc())
).limit(1)
"""The number of a study's last trial: numbers have no gaps, and counting them takes longer with each."""


def putting(insert: Any, table: sql.TableClause) -> Any:
    """An insert into a table of trials that takes the place of what is there of a trial under the same key."""
    trial, key, *others = (column.name for column in table.columns)
    return insert.on_conflict_do_update(
        index_elements=[trial, key], set_={name: insert.excluded[name] for name in others}
    )


_PUT = {name: putting(insert(ATTRIBUTES), ATTRIBUTES) for name, insert in INSERTS.items()}
_PLACE = {name: putting(insert(TRIAL_PARAMS), TRIAL_PARAMS) for name, insert in INSERTS.items()}


def lock_study(connection: sql.Connection, study_id: int) -> None:
    """Keep others from making or beginning trials of a study until the transaction ends; Optuna's own do so too."""
    connection.execute(_LOCK, {"of": study_id})


def new_trial(connection: sql.Connection, study_id: int, number: int, at: datetime) -> int:
    """Make a trial that runs, in a locked study.

    Returns:
        Optuna's id of it.
    """
    row = {"number": number, "study_id": study_id, "state": TrialState.RUNNING, "datetime_start": at}
    return connection.execute(sql.insert(TRIALS).returning(TRIALS.c.trial_id), row).scalar_one()


def start_trial(connection: sql.Connection, trial_id: int, at: datetime) -> int | None:
    """Have a trial that waits run; None where it does not wait any more."""
    waits = sql.update(TRIALS).where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.WAITING)
    started = connection.execute(waits.values(state=TrialState.RUNNING, datetime_start=at))
    return trial_id if started.rowcount == 1 else None


def add_waiting(connection: sql.Connection, study_id: int, attributes: Sequence[Mapping[str, Any]]) -> None:
    """Have trials wait, after all others of a locked study."""
    if not attributes:
        return
    last = connection.execute(LAST, {"of": study_id}).scalar()
    number = 0 if last is None else last + 1
    for k, each in enumerate(attributes):
        row = {"number": number + k, "study_id": study_id, "state": TrialState.WAITING}
        trial_id = connection.execute(sql.insert(TRIALS).returning(TRIALS.c.trial_id), row).scalar_one()
        put_attributes(connection, trial_id, each)


def put_attributes(connection: sql.Connection, trial_id: int, values: Mapping[str, Any]) -> None:
    """Set user attributes of a trial; past Optuna's API, which would pass over those of finished trials."""
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in values.items()]
    connection.execute(_PUT[connection.dialect.name], rows)


def has_attributes(connection: sql.Connection, trial_id: int, values: Mapping[str, Any]) -> bool:
    """Whether a trial has these user attributes."""
    query = sql.select(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == trial_id, ATTRIBUTES.c.key.in_(list(values)))
    found = {row.key: from_json(row.value_json) for row in connection.execute(query)}
    return found == dict(values)


def put_params(
    connection: sql.Connection, trial_id: int, place: Mapping[str, float], domains: Mapping[str, BaseDistribution]
) -> None:
    """Set the parameters of a trial as Optuna holds them, in the place of any that are there."""
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
        connection.execute(_PLACE[connection.dialect.name], rows)


@dataclass(frozen=True, slots=True)
class End:
    """How and when a trial ends; only a COMPLETE one has values."""

    state: TrialState
    values: Sequence[float] = ()
    moment: datetime = field(default_factory=datetime.now)


def put_end(connection: sql.Connection, trial_id: int, end: End) -> bool:
    """End a running trial, as Optuna's `set_trial_state_values` does; False where it has ended."""
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
    """What is stored of some trials.

    Attributes:
        trials: rows of `TRIALS`, by number.
        attributes, values, leases: by Optuna's id; leases are rows of `LEASES`.
    """

    trials: Sequence[Any]
    attributes: Mapping[int, Mapping[str, Any]]
    values: Mapping[int, Sequence[float]]
    leases: Mapping[int, Any]


def read_rows(
    connection: sql.Connection, study_id: int, *, since: int = 0, among: Sequence[int] = (), waiting: bool = True
) -> Rows:
    """What is stored of a study's trials.

    Args:
        since: those of this number and after it.
        among: and those of these ids.
        waiting: whether those of `among` that wait are wanted.
    """
    wanted = TRIALS.c.number >= since
    if among:
        among_them = TRIALS.c.trial_id.in_(list(among))
        if not waiting:
            among_them &= TRIALS.c.state != TrialState.WAITING
        wanted = sql.or_(wanted, among_them)
    query = sql.select(TRIALS).where(TRIALS.c.study_id == study_id, wanted).order_by(TRIALS.c.number)
    trials = connection.execute(query).all()
    if not trials:
        return Rows((), {}, {}, {})
    whole = since == 0  # a study has more trials than a statement may name
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
        held = connection.execute(sql.select(LEASES).where(LEASES.c.trial_id.in_(ids)))
        leases = {row.trial_id: row for row in held}
    return Rows(trials, attributes, values, leases)
