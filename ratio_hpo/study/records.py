"""From Optuna's trials to records: attribute names, and how a curve is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from optuna.storages._rdb.models import TrialModel, TrialValueModel
from optuna.trial import FrozenTrial
from pydantic_core import from_json

from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.study.leases import read_lease
from ratio_hpo.study.storage import ATTRIBUTES, Storage

KIND, PARAMS, PLAN, SETTINGS = "kind", "params", "plan", "settings"
ASKED, PLANNED, RETRY_OF = "asked", "planned", "retry_of"
LEASE, DONE, REASON, TRACEBACK = "lease", "done", "reason", "traceback"
CURVE = "curve:"
CURSOR = "tracked:"

TRIALS = sql.table(
    TrialModel.__tablename__,
    *(sql.column(name) for name in ("trial_id", "study_id", "number", "state")),
    sql.column("datetime_start", sql.DateTime()),
    sql.column("datetime_complete", sql.DateTime()),
)
VALUES = sql.table(TrialValueModel.__tablename__, *map(sql.column, ("trial_id", "objective", "value")))


def curve_key(index: int) -> str:
    """Each evaluation has an attribute of its own: one growing list would be rewritten at every report."""
    return f"{CURVE}{index:05d}"


def curve_entry(progress: Progress, decision: Decision) -> dict[str, Any]:
    """An evaluation with the answer to it, written as one."""
    return {"progress": progress.to_json(), "decision": decision.value}


def read_curve(attributes: Mapping[str, Any]) -> tuple[list[Progress], Decision]:
    """The evaluations of a trial in order, and the answer to the last one."""
    entries = [attributes[key] for key in sorted(key for key in attributes if key.startswith(CURVE))]
    last = Decision(entries[-1]["decision"]) if entries else Decision.CONTINUE
    return [Progress.from_json(entry["progress"]) for entry in entries], last


def cursor_key(store: str, number: int) -> str:
    """The attribute of a study that says what was written of a trial to a store."""
    return f"{CURSOR}{store}:{number}"


def read_cursor(attributes: Mapping[str, Any], store: str | None) -> dict[int, str]:
    """From a study's attributes, the token of what was written of each trial to a store."""
    prefix = cursor_key(store, 0)[:-1] if store is not None else None
    return {int(k[len(prefix) :]): str(v) for k, v in attributes.items() if k.startswith(prefix)} if prefix else {}


def read_trial(trial: FrozenTrial) -> TrialRecord:
    """A trial of Optuna's as analysis and tracking see it."""
    state = State(trial.state.name)
    values = tuple(trial.values) if trial.values else None
    return make_record(
        trial.number, state, trial.user_attrs, values, _seconds(trial.datetime_start), _seconds(trial.datetime_complete)
    )


def read_trials(storage: Storage, study_id: int) -> list[TrialRecord]:
    """All trials of a study, by number, in three queries: Optuna's own reading takes four times as long."""
    of_study = TRIALS.c.study_id == study_id
    with storage.engine.connect() as connection:
        trials = connection.execute(sql.select(TRIALS).where(of_study).order_by(TRIALS.c.number)).all()
        joined = TRIALS.join(ATTRIBUTES, TRIALS.c.trial_id == ATTRIBUTES.c.trial_id)
        chosen = (ATTRIBUTES.c.trial_id, ATTRIBUTES.c.key, ATTRIBUTES.c.value_json)
        found = connection.execute(sql.select(*chosen).select_from(joined).where(of_study)).all()
        joined = TRIALS.join(VALUES, TRIALS.c.trial_id == VALUES.c.trial_id)
        chosen = (VALUES.c.trial_id, VALUES.c.value)
        told = connection.execute(
            sql.select(*chosen).select_from(joined).where(of_study).order_by(VALUES.c.objective)
        ).all()
    attributes: dict[int, dict[str, Any]] = {}
    for trial_id, key, text in found:
        attributes.setdefault(trial_id, {})[key] = from_json(text)
    values: dict[int, list[float]] = {}
    for trial_id, value in told:
        values.setdefault(trial_id, []).append(value)
    return [
        make_record(
            row.number,
            State(row.state),
            attributes.get(row.trial_id, {}),
            tuple(values[row.trial_id]) if row.trial_id in values else None,
            _seconds(row.datetime_start),
            _seconds(row.datetime_complete),
        )
        for row in trials
    ]


def make_record(
    number: int,
    state: State,
    attributes: Mapping[str, Any],
    values: tuple[float, ...] | None,
    started: float | None,
    ended: float | None,
) -> TrialRecord:
    """A trial from what is stored of it."""
    lease = read_lease(attributes.get(LEASE)) if state is State.RUNNING else None
    return TrialRecord(
        number=number,
        state=state,
        kind=attributes.get(KIND, "sampled"),
        params=attributes.get(PARAMS, {}),
        curve=tuple(read_curve(attributes)[0]),
        plan=attributes.get(PLAN, {}),
        settings=attributes.get(SETTINGS, {}),
        values=values,
        reason=attributes.get(REASON),
        traceback=attributes.get(TRACEBACK),
        worker=f"{lease.host.split('/')[0]}:{lease.pid}" if lease is not None and lease.is_live() else None,
        done=bool(attributes.get(DONE)),
        retry_of=attributes.get(RETRY_OF),
        started=started,
        ended=ended,
    )


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
