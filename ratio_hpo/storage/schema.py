"""Direct access to Optuna's tables: the only module that names its tables, columns and models.

Optuna's storage writes one attribute per transaction, cannot make a write depend on a lease, and copies what it reads.
So these statements use the tables directly. They store the same rows as Optuna's API; `tests/storage` compares them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

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
    *map(sql.column, ("trial_id", "study_id", "number")),
    sql.column("state", sql.Enum(TrialState)),
    *(sql.column(name, sql.DateTime()) for name in ("datetime_start", "datetime_complete")),
)
VALUES = sql.table(
    "trial_values",
    *map(sql.column, ("trial_id", "objective", "value")),
    sql.column("value_type", sql.Enum(models.TrialValueModel.TrialValueType)),
)
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


def check_tables() -> None:
    """Check that the installed Optuna has the expected table layout.

    Raises:
        StorageError: it does not; the message names the supported releases.
    """
    layout = models.BaseModel.metadata.tables
    for table in (TRIALS, VALUES, ATTRIBUTES, TRIAL_PARAMS, STUDIES, STUDY_ATTRIBUTES):
        for column in table.columns:
            if table.name not in layout or column.name not in layout[table.name].columns:
                raise StorageError(
                    f"optuna {optuna.__version__} has no {table.name}.{column.name} in its tables; install a supported "
                    f"release: {', '.join(f'optuna=={release}.*' for release in KNOWN)}"
                )


def _stored_time(moment: datetime) -> datetime:
    """Return a time as Optuna stores it: in UTC, without a time zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _seconds(stored: datetime | None) -> float | None:
    """Return a stored time in seconds since the epoch."""
    return None if stored is None else stored.replace(tzinfo=UTC).timestamp()


def studies_with(connection: sql.Connection, attribute: str) -> dict[str, int]:
    """Return the ids of the studies that have an attribute, by name, in order of creation."""
    joined = STUDIES.join(STUDY_ATTRIBUTES, STUDIES.c.study_id == STUDY_ATTRIBUTES.c.study_id)
    query = sql.select(STUDIES.c.study_name, STUDIES.c.study_id).select_from(joined)
    rows = connection.execute(query.where(STUDY_ATTRIBUTES.c.key == attribute).order_by(STUDIES.c.study_id))
    return {str(name): int(study_id) for name, study_id in rows}


def last_start(connection: sql.Connection, study_id: int) -> float | None:
    """Return the latest start of a study's trials, in seconds since the epoch; None if no trial has started."""
    query = sql.select(sql.func.max(TRIALS.c.datetime_start)).where(TRIALS.c.study_id == study_id)
    return _seconds(connection.execute(query).scalar())


def count_trials(connection: sql.Connection, study_id: int) -> tuple[dict[str, int], float | None]:
    """Return the number of trials by the name of their state, and the start time of the first trial."""
    state, start = TRIALS.c.state, TRIALS.c.datetime_start
    query = sql.select(state, sql.func.count(), sql.func.min(start)).where(TRIALS.c.study_id == study_id)
    rows = connection.execute(query.group_by(state)).all()
    starts = [moment for _, _, moment in rows if moment is not None]
    return {state.name: int(count) for state, count, _ in rows}, _seconds(min(starts, default=None))


def rename_study(connection: sql.Connection, study_id: int, name: str) -> None:
    """Change the name of a study."""
    connection.execute(sql.update(STUDIES).where(STUDIES.c.study_id == study_id).values(study_name=name))


def delete_study_attribute(connection: sql.Connection, study_id: int, attribute: str) -> None:
    """Delete a user attribute of a study, which Optuna's API cannot do."""
    of_study, key = STUDY_ATTRIBUTES.c.study_id == study_id, STUDY_ATTRIBUTES.c.key
    connection.execute(sql.delete(STUDY_ATTRIBUTES).where(of_study, key == attribute))


_COUNTER = STUDY_ATTRIBUTES.c.value_json
_INCREMENT = (
    sql.update(STUDY_ATTRIBUTES)
    .where(STUDY_ATTRIBUTES.c.study_id == sql.bindparam("of"), STUDY_ATTRIBUTES.c.key == sql.bindparam("counter"))
    .values(value_json=sql.cast(sql.cast(_COUNTER, sql.BigInteger) + 1, sql.String))
    .returning(_COUNTER)
)


def create_counter(connection: sql.Connection, study_id: int, attribute: str) -> None:
    """Set a user attribute of a study to 0 if the study does not have it."""
    row = {"study_id": study_id, "key": attribute, "value_json": "0"}
    connection.execute(INSERTS[connection.dialect.name](STUDY_ATTRIBUTES).values(row).on_conflict_do_nothing())


def increment_counter(connection: sql.Connection, study_id: int, attribute: str) -> int | None:
    """Increment a user attribute of a study and return it; None if the study or the attribute is missing."""
    text = connection.execute(_INCREMENT, {"of": study_id, "counter": attribute}).scalar()
    return None if text is None else int(text)


_LOCK = sql.update(STUDIES).where(STUDIES.c.study_id == sql.bindparam("of")).values(study_name=STUDIES.c.study_name)
LAST = (
    sql.select(TRIALS.c.number).where(TRIALS.c.study_id == sql.bindparam("of")).order_by(TRIALS.c.trial_id.desc())
).limit(1)
"""The number of a study's last trial. Numbers have no gaps, and counting trials would be slower in large studies."""


@cache
def _upsert(database: str, table: sql.TableClause) -> Any:
    """Return an insert that overwrites the row of the same trial and key."""
    insert = INSERTS[database](table)
    trial, key, *others = (column.name for column in table.columns)
    overwritten = {name: insert.excluded[name] for name in others}
    return insert.on_conflict_do_update(index_elements=[trial, key], set_=overwritten)


def lock_study(connection: sql.Connection, study_id: int) -> None:
    """Prevent others from creating or starting trials of a study until the transaction ends, as Optuna does."""
    connection.execute(_LOCK, {"of": study_id})


def new_trial(
    connection: sql.Connection, study_id: int, number: int, state: TrialState, start: datetime | None = None
) -> int:
    """Create a trial in a locked study, and return Optuna's id of it."""
    moment = None if start is None else _stored_time(start)
    row = {"number": number, "study_id": study_id, "state": state, "datetime_start": moment}
    return connection.execute(sql.insert(TRIALS).returning(TRIALS.c.trial_id), row).scalar_one()


def _move(connection: sql.Connection, trial_id: int, before: TrialState, **changes: object) -> bool:
    """Change a trial; return False if it is not in the expected state."""
    expected = (TRIALS.c.trial_id == trial_id, TRIALS.c.state == before)
    return connection.execute(sql.update(TRIALS).where(*expected).values(**changes)).rowcount == 1


def start_trial(connection: sql.Connection, trial_id: int, start: datetime) -> int | None:
    """Start a waiting trial and return its id; return None if it is no longer waiting."""
    changes = {"state": TrialState.RUNNING, "datetime_start": _stored_time(start)}
    return trial_id if _move(connection, trial_id, TrialState.WAITING, **changes) else None


def add_waiting(connection: sql.Connection, study_id: int, attributes: Sequence[Mapping[str, object]]) -> None:
    """Append waiting trials to a locked study."""
    if not attributes:
        return
    last = connection.execute(LAST, {"of": study_id}).scalar()
    for number, values in enumerate(attributes, 0 if last is None else last + 1):
        put_attributes(connection, new_trial(connection, study_id, number, TrialState.WAITING), values)


def put_attributes(connection: sql.Connection, trial_id: int, values: Mapping[str, object]) -> None:
    """Set user attributes of a trial, also of a finished one, which Optuna's API does not do."""
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in values.items()]
    connection.execute(_upsert(connection.dialect.name, ATTRIBUTES), rows)


def put_selected_attributes(database: str, rows: sql.SelectBase) -> Any:
    """Return a statement that sets the user attributes that a query returns: trial id, name, JSON text."""
    return _upsert(database, ATTRIBUTES).from_select(list(ATTRIBUTES.columns), rows)


def has_attributes(connection: sql.Connection, trial_id: int, values: Mapping[str, object]) -> bool:
    """Return whether a trial has these user attributes."""
    query = sql.select(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == trial_id, ATTRIBUTES.c.key.in_(list(values)))
    return {row.key: from_json(row.value_json) for row in connection.execute(query)} == dict(values)


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
        connection.execute(_upsert(connection.dialect.name, TRIAL_PARAMS), rows)


@dataclass(frozen=True, slots=True)
class End:
    """Final state, values and time of a trial; only a COMPLETE trial has values."""

    state: TrialState
    values: Sequence[float] = ()
    moment: datetime = field(default_factory=datetime.now)


def put_end(connection: sql.Connection, trial_id: int, end: End) -> bool:
    """End a running trial, as Optuna's `set_trial_state_values` does; return False if it is not running."""
    changes = {"state": end.state, "datetime_complete": _stored_time(end.moment)}
    if not _move(connection, trial_id, TrialState.RUNNING, **changes):
        return False
    rows = [
        {"trial_id": trial_id, "objective": k, "value": value, "value_type": kind}
        for k, (value, kind) in enumerate(map(models.TrialValueModel.value_to_stored_repr, end.values))
    ]
    if rows:
        connection.execute(sql.insert(VALUES), rows)
    return True


def has_work_left(trial_id: int) -> sql.ColumnElement[bool]:
    """Return the condition that a trial is running and has not done all its work."""
    is_done = (ATTRIBUTES.c.trial_id == trial_id, ATTRIBUTES.c.key == DONE, ATTRIBUTES.c.value_json == "true")
    is_running = (TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.RUNNING)
    done = sql.select(ATTRIBUTES.c.trial_id).where(*is_done)
    return sql.exists(sql.select(TRIALS.c.trial_id).where(*is_running)) & ~sql.exists(done)


def trial_ids(study_id: int) -> sql.Select[tuple[int]]:
    """Return a query of the ids of a study's trials."""
    return sql.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)


class TrialRow(NamedTuple):
    """Stored data of a trial.

    Attributes:
        trial_id: Optuna's id of the trial.
        started, ended: in seconds since the epoch.
        attributes: user attributes.
        values: values of a COMPLETE trial.
    """

    trial_id: int
    number: int
    state: TrialState
    started: float | None
    ended: float | None
    attributes: Mapping[str, object]
    values: Sequence[float]


def read_rows(connection: sql.Connection, study_id: int, since: int, among: Sequence[int]) -> list[TrialRow]:
    """Read trials of a study, by number: those numbered `since` or higher, and those of `among` that have started."""
    condition = TRIALS.c.number >= since
    if among:
        condition |= TRIALS.c.trial_id.in_(list(among)) & (TRIALS.c.state != TrialState.WAITING)
    query = sql.select(TRIALS).where(TRIALS.c.study_id == study_id, condition).order_by(TRIALS.c.number)
    trials = connection.execute(query).all()
    if not trials:
        return []
    # a study may have more trials than one statement can list
    ids = trial_ids(study_id) if since == 0 else [row.trial_id for row in trials]
    attributes: dict[int, dict[str, object]] = {}
    for trial_id, key, text in connection.execute(sql.select(ATTRIBUTES).where(ATTRIBUTES.c.trial_id.in_(ids))):
        attributes.setdefault(trial_id, {})[key] = from_json(text)
    values: dict[int, list[float]] = {}
    if any(row.state is TrialState.COMPLETE for row in trials):
        ordered = sql.select(VALUES).where(VALUES.c.trial_id.in_(ids)).order_by(VALUES.c.objective)
        for trial_id, _, value, kind in connection.execute(ordered):
            values.setdefault(trial_id, []).append(models.TrialValueModel.stored_repr_to_value(value, kind))
    return [
        TrialRow(id_, number, state, _seconds(start), _seconds(end), attributes.get(id_, {}), values.get(id_, ()))
        for id_, _, number, state, start, end in trials
    ]
