"""From stored attributes to records of trials: names of attributes, and how a curve is stored."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from ratio_hpo.core.plans import TRIAL_PLAN, UNPLANNED
from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.study.leases import Lease, lease_of
from ratio_hpo.study.retrying_storage import RetryingStorage
from ratio_hpo.study.tables import DONE, Rows, read_rows

KIND, PARAMS, PLAN, SETTINGS, SEED = "kind", "params", "plan", "settings", "seed"
ASKED, PLANNED, RETRY_OF, PRUNABLE, REPLICATE_OF = "asked", "planned", "retry_of", "prunable", "replicate_of"
SWEEP_OF = "sibling_of"
ATTEMPTS, ADOPTIONS, REASON, TRACEBACK = "attempts", "adoptions", "reason", "traceback"
Attributes = Mapping[str, Any]
"""What is stored of a trial or a study, by name."""

NO_NUMBER = 2**31 - 1
"""More than any trial has."""

CURVE = "curve:"
CURSOR = "tracked:"


def curve_key(index: int) -> str:
    """Each evaluation has an attribute of its own: one growing list would be rewritten at every report."""
    return f"{CURVE}{index:05d}"


def curve_entry(progress: Progress, decision: Decision) -> dict[str, Any]:
    """An evaluation with the answer to it, written as one."""
    return {"progress": progress.to_json(), "decision": decision.value}


def read_curve(attributes: Attributes) -> tuple[list[Progress], Decision]:
    """The evaluations of a trial in order, and the answer to the last one."""
    entries = [attributes[key] for key in sorted(key for key in attributes if key.startswith(CURVE))]
    last = Decision(entries[-1]["decision"]) if entries else Decision.CONTINUE
    return [Progress.from_json(entry["progress"]) for entry in entries], last


def cursor_key(store: str, number: int) -> str:
    """The attribute of a study that says what was written of a trial to a store."""
    return f"{CURSOR}{store}:{number}"


def read_cursor(attributes: Attributes, store: str | None) -> dict[int, str]:
    """From a study's attributes, the token of what was written of each trial to a store."""
    prefix = cursor_key(store, 0)[:-1] if store is not None else None
    return {int(k[len(prefix) :]): str(v) for k, v in attributes.items() if k.startswith(prefix)} if prefix else {}


@dataclass(frozen=True, slots=True)
class Stored:
    """A trial as it is stored.

    Attributes:
        trial_id: Optuna's.
        lease: whose it is; None: nobody's.
    """

    trial_id: int
    record: TrialRecord
    attributes: Attributes
    lease: Lease | None


def read_trials(
    storage: RetryingStorage, study_id: int, *, since: int = 0, among: Sequence[int] = (), waiting: bool = True
) -> list[Stored]:
    """Trials of a study as they are at one moment, by number: Optuna's own reading takes four times as long.

    Args:
        since: those of this number and after it.
        among: and those of these ids.
        waiting: whether those of `among` that wait are wanted.
    """
    return storage.read(partial(_read, study_id, since=since, among=among, waiting=waiting))


def read_trial(connection: Connection, study_id: int, trial_id: int) -> Stored:
    """One trial, as a transaction sees it."""
    return _read(study_id, connection, since=NO_NUMBER, among=[trial_id])[0]


def _read(study_id: int, connection: Connection, **which: Any) -> list[Stored]:
    rows = read_rows(connection, study_id, **which)
    return [_stored(row, rows) for row in rows.trials]


def _stored(row: Any, rows: Rows) -> Stored:
    attributes, values = rows.attributes.get(row.trial_id, {}), rows.values.get(row.trial_id)
    lease = lease_of(rows.leases[row.trial_id]) if row.trial_id in rows.leases else None
    state = State(row.state.name)
    held = state is State.RUNNING and lease is not None and lease.seems_live(time.time())
    record = record_of(
        row.number,
        state,
        attributes,
        values=tuple(values) if values else None,
        worker=lease.holder if lease is not None and held else None,
        started=_seconds(row.datetime_start),
        ended=_seconds(row.datetime_complete),
    )
    return Stored(row.trial_id, record, attributes, lease if state is State.RUNNING else None)


def record_of(number: int, state: State, attributes: Attributes, **others: Any) -> TrialRecord:
    """A record from a trial's attributes.

    Args:
        others: fields of the record that are no attributes.
    """
    plan = attributes.get(PLAN)
    return TrialRecord(
        number=number,
        state=state,
        kind=attributes.get(KIND, "sampled"),
        params=attributes.get(PARAMS, {}),
        curve=tuple(read_curve(attributes)[0]),
        plan=UNPLANNED if plan is None else TRIAL_PLAN.validate_python(plan),
        seed=attributes.get(SEED),
        settings=attributes.get(SETTINGS, {}),
        reason=attributes.get(REASON),
        traceback=attributes.get(TRACEBACK),
        done=bool(attributes.get(DONE)),
        retry_of=attributes.get(RETRY_OF),
        replicate_of=attributes.get(REPLICATE_OF),
        sweep_of=attributes.get(SWEEP_OF),
        **others,
    )


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
