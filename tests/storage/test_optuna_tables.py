"""Studies that we write to Optuna's tables hold the same rows as studies that Optuna's own API writes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sql
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from ratio_hpo.core.errors import StorageError
from ratio_hpo.core.retry import CLOCK
from ratio_hpo.storage import schema
from ratio_hpo.storage.connect import Storage, default_url, open_storage
from ratio_hpo.storage.leases import LEASES, begin_trial, drop_leases_of, own_lease, put_while_held
from ratio_hpo.upkeep.doctor import examine

LAYOUT = {
    "alembic_version": {"version_num"},
    "version_info": {"version_info_id", "schema_version", "library_version"},
    "studies": {"study_id", "study_name"},
    "study_directions": {"study_direction_id", "direction", "study_id", "objective"},
    "study_user_attributes": {"study_user_attribute_id", "study_id", "key", "value_json"},
    "study_system_attributes": {"study_system_attribute_id", "study_id", "key", "value_json"},
    "trials": {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"},
    "trial_user_attributes": {"trial_user_attribute_id", "trial_id", "key", "value_json"},
    "trial_system_attributes": {"trial_system_attribute_id", "trial_id", "key", "value_json"},
    "trial_params": {"param_id", "trial_id", "param_name", "param_value", "distribution_json"},
    "trial_values": {"trial_value_id", "trial_id", "objective", "value", "value_type"},
    "trial_intermediate_values": {
        "trial_intermediate_value_id", "trial_id", "step", "intermediate_value", "intermediate_value_type"
    },
    "trial_heartbeats": {"trial_heartbeat_id", "trial_id", "heartbeat"},
}  # fmt: skip
"""The columns of each table of Optuna."""

OF_DATABASE = {"alembic_version", "version_info"}
"""Tables with one row for the whole database, which Optuna writes when it creates the tables."""

DOMAINS: dict[str, BaseDistribution] = {
    "ratio": FloatDistribution(0.0, 1.0),
    "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "order": CategoricalDistribution(range(3)),
    "layers": IntDistribution(1, 12),
}
PLACE: dict[str, float] = {"ratio": 0.25, "learning_rate": 3e-4, "order": 2, "layers": 7}
ATTRIBUTES = {"kind": "sampled", "note": "ääni, 한국어, \U0001f600", "params": {"shares": [0.1, 0.9], "seed": None}}


@dataclass(frozen=True)
class Written:
    """A trial to write: it begins as WAITING or RUNNING and ends as `state`."""

    state: TrialState
    values: list[float] = field(default_factory=list)
    waits_first: bool = False


TRIALS = [
    Written(TrialState.RUNNING),
    Written(TrialState.COMPLETE, [0.75, 1200.0]),
    Written(TrialState.COMPLETE, [-math.inf, math.inf]),
    Written(TrialState.PRUNED),
    Written(TrialState.FAIL),
    Written(TrialState.RUNNING, waits_first=True),
    Written(TrialState.COMPLETE, [0.5, 100.0], waits_first=True),
    Written(TrialState.WAITING, waits_first=True),
]


def write_with_optuna(storage: Storage, study_id: int) -> None:
    """Write `TRIALS` with the methods that Optuna's studies call."""
    storage.set_study_user_attr(study_id, "generation", 2)
    for trial in TRIALS:
        template = create_trial(state=TrialState.WAITING, user_attrs={"asked": {"ratio": 0.25}})
        trial_id = storage.create_new_trial(study_id, template if trial.waits_first else None)
        if trial.state is TrialState.WAITING:
            continue
        if trial.waits_first:
            assert storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        for name, domain in DOMAINS.items():
            storage.set_trial_param(trial_id, name, domain.to_internal_repr(PLACE[name]), domain)
        for key, value in ATTRIBUTES.items():
            storage.set_trial_user_attr(trial_id, key, value)
        if trial.state.is_finished():
            storage.set_trial_state_values(trial_id, trial.state, trial.values or None)


def write_directly(storage: Storage, study_id: int) -> None:
    """Write `TRIALS` with our statements."""

    def put(connection: sql.Connection, trial_id: int) -> None:
        schema.put_attributes(connection, trial_id, ATTRIBUTES)
        schema.put_params(connection, trial_id, PLACE, DOMAINS)

    def add_waiting(connection: sql.Connection) -> None:
        schema.lock_study(connection, study_id)
        schema.add_waiting(connection, study_id, [{"asked": {"ratio": 0.25}}])

    storage.run(partial(schema.create_counter, study_id=study_id, attribute="generation"))
    for _ in range(2):
        storage.run(partial(schema.increment_counter, study_id=study_id, attribute="generation"))
    for number, trial in enumerate(TRIALS):
        waiting = None
        if trial.waits_first:
            storage.run(add_waiting)
            waiting = storage.get_trial_id_from_study_id_trial_number(study_id, number)
        if trial.state is TrialState.WAITING:
            continue
        trial_id = begin_trial(storage, study_id, own_lease(-1), number, waiting, put)
        assert trial_id is not None
        if trial.state.is_finished():
            write_end = partial(schema.put_end, trial_id=trial_id, end=schema.End(trial.state, trial.values))
            assert storage.run(write_end)


NAMES = ("by Optuna", "by us")

Writer = Callable[[Storage, int], None]
Row = dict[str, object]


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    url = default_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres")
    storage = open_storage(url)
    yield storage
    for study in storage.get_all_studies():
        if study.study_name in NAMES:  # other tests use the same server
            drop_leases_of(storage, study._study_id)
            storage.delete_study(study._study_id)
    storage.engine.dispose()


def new_study(storage: Storage, name: str, write: Writer) -> int:
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE], name)
    write(storage, study_id)
    return study_id


def stored_layout(storage: Storage) -> sql.MetaData:
    """Return the tables of the database, without our own."""
    layout = sql.MetaData()
    layout.reflect(storage.engine)
    layout.remove(layout.tables[LEASES.name])
    return layout


def rows_of(storage: Storage, study_id: int) -> dict[str, list[Row]]:
    """Return all columns of a study's rows by table; trial ids as numbers, other ids, times and the name as types."""
    layout, stored = stored_layout(storage), {}
    trials = layout.tables["trials"]
    query = sql.select(trials.c.trial_id, trials.c.number).where(trials.c.study_id == study_id)
    with storage.engine.connect() as connection:
        numbers = {row.trial_id: row.number for row in connection.execute(query)}
        for name in layout.tables.keys() - OF_DATABASE:
            table = layout.tables[name]
            of_study = table.c.study_id == study_id if "study_id" in table.c else table.c.trial_id.in_(numbers)
            rows = connection.execute(sql.select(table).where(of_study)).mappings()
            comparable = [{key: _comparable(key, value, table, numbers) for key, value in row.items()} for row in rows]
            stored[name] = sorted(comparable, key=repr)
    return stored


def _comparable(column: str, value: object, table: sql.Table, numbers: Mapping[int, int]) -> object:
    if column == "trial_id":
        return numbers[int(str(value))]
    unequal = column in ("study_id", "study_name") or column in table.primary_key.columns
    return type(value).__name__ if unequal or isinstance(value, datetime) else value


def test_the_layout_is_the_expected_one(storage: Storage) -> None:
    stored = {name: {column.name for column in table.columns} for name, table in stored_layout(storage).tables.items()}
    unknown = {name: columns - LAYOUT.get(name, set()) for name, columns in stored.items()}
    missing = {name: columns - stored.get(name, set()) for name, columns in LAYOUT.items()}
    assert {name: columns for name, columns in unknown.items() if columns} == {}, "Optuna has new columns"
    assert {name: columns for name, columns in missing.items() if columns} == {}, "Optuna lacks columns"


def test_every_column_is_as_optuna_writes_it(storage: Storage) -> None:
    expected = rows_of(storage, new_study(storage, "by Optuna", write_with_optuna))
    actual = rows_of(storage, new_study(storage, "by us", write_directly))
    assert actual.keys() == LAYOUT.keys() - OF_DATABASE
    for table, rows in expected.items():
        assert actual[table] == rows, table
    num_rows = {table: len(rows) for table, rows in actual.items() if rows}
    started, with_values = len(TRIALS) - 1, sum(bool(trial.values) for trial in TRIALS)
    assert num_rows == {
        "studies": 1,
        "study_directions": 2,
        "study_user_attributes": 1,
        "trials": len(TRIALS),
        "trial_params": started * len(DOMAINS),
        "trial_user_attributes": started * len(ATTRIBUTES) + sum(trial.waits_first for trial in TRIALS),
        "trial_values": 2 * with_values,
    }


def test_a_write_that_needs_the_lease_stores_the_same_attributes(storage: Storage) -> None:
    study_id = new_study(storage, "by Optuna", lambda storage, study_id: None)
    trial_id = storage.create_new_trial(study_id)
    for key, value in ATTRIBUTES.items():
        storage.set_trial_user_attr(trial_id, key, value)
    expected = rows_of(storage, study_id)

    lease, other_id = own_lease(-1), new_study(storage, "by us", lambda storage, study_id: None)

    def put(connection: sql.Connection, trial_id: int) -> None:
        schema.put_attributes(connection, trial_id, {"note": "overwritten"})

    ours = begin_trial(storage, other_id, lease, 0, None, put)
    assert ours is not None
    storage.run(partial(put_while_held, mine=replace(lease, trial_id=ours), values=ATTRIBUTES))
    assert rows_of(storage, other_id) == expected


def test_our_queries_and_optuna_read_the_same_trials(storage: Storage) -> None:
    for name, write in {"by Optuna": write_with_optuna, "by us": write_directly}.items():
        study_id = new_study(storage, name, write)
        rows = storage.read(partial(schema.read_rows, study_id=study_id, since=0, among=()))
        trials = optuna.load_study(study_name=name, storage=storage).trials
        assert [row.state for row in rows] == [trial.state for trial in trials] == [written.state for written in TRIALS]
        assert [list(row.values) for row in rows] == [trial.values or [] for trial in trials]
        assert [row.attributes for row in rows] == [trial.user_attrs for trial in trials]
        for row, trial in zip(rows, trials, strict=True):
            assert row.started == (trial.datetime_start.timestamp() if trial.datetime_start else None)
            assert row.ended == (trial.datetime_complete.timestamp() if trial.datetime_complete else None)
        assert [trial.params for trial in trials[:-1]] == [PLACE] * (len(TRIALS) - 1)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_times_are_those_of_optuna_in_every_time_zone(
    zone: str, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for name, write in {"by Optuna": write_with_optuna, "by us": write_directly}.items():
            study_id, now = new_study(storage, name, write), datetime.now()
            for trial in optuna.load_study(study_name=name, storage=storage).trials:
                for moment in (trial.datetime_start, trial.datetime_complete):
                    assert moment is None or abs(moment - now) < timedelta(minutes=5)
            last = storage.run(partial(schema.last_start, study_id=study_id))
            _, first = storage.run(partial(schema.count_trials, study_id=study_id))
            assert last is not None
            assert first is not None
            assert abs(last - CLOCK.time()) < 300
            assert abs(first - CLOCK.time()) < 300
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_unknown_layout_is_refused_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def optuna_check() -> tuple[str, str]:
        check = next(check for check in examine(tmp_path) if check.name == "optuna")
        return check.state, check.detail

    assert optuna_check() == ("ok", f"{optuna.__version__}, with known tables")
    monkeypatch.setattr(schema, "VALUES", sql.table("trial_values", sql.column("rank")))
    message = (
        f"optuna {optuna.__version__} has no trial_values.rank in its tables; install a supported release: "
        "optuna==5.0.*"
    )
    with pytest.raises(StorageError) as refused:
        open_storage(default_url(tmp_path))
    assert str(refused.value) == message
    assert optuna_check() == ("missing", message)
