"""Attribute names of stored trials, and the conversion from stored attributes to trial records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict, cast

from optuna.trial import TrialState
from sqlalchemy import Connection

from ratio_hpo.core.plans import TRIAL_PLAN, UNPLANNED
from ratio_hpo.core.trial import Decision, Params, Progress, State, TrialRecord
from ratio_hpo.storage.leases import Lease, read_leases
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.storage.schema import DONE, TrialRow, read_rows

KIND, PARAMS, PLAN, SETTINGS, SEED = "kind", "params", "plan", "settings", "seed"
ASKED, PLANNED, RETRY_OF, PRUNABLE, REPLICATE_OF = "asked", "planned", "retry_of", "prunable", "replicate_of"
SWEEP_OF = "sweep_of"
ATTEMPTS, ADOPTIONS, REASON, TRACEBACK = "attempts", "adoptions", "reason", "traceback"
Attributes = Mapping[str, Any]
"""Stored attributes of a trial or a study, by name: JSON values."""

NO_NUMBER = 2**31 - 1
"""Greater than the number of any trial."""

CURVE = "curve:"
CURSOR = "tracked:"


class TrialAttributes(TypedDict, total=False):
    """Stored attributes of a trial, besides its evaluations (see `curve_key`).

    Attributes:
        asked: requested parameters.
        planned: fingerprint of the parameters that the plan enqueued.
        attempts: attempts since the last new evaluation.
        adoptions: number of times the trial was taken over since then.
    """

    kind: str
    params: Params
    plan: dict[str, object]
    settings: dict[str, object]
    seed: int
    asked: Params
    planned: str
    prunable: bool
    done: bool
    retry_of: int
    replicate_of: int
    sweep_of: int
    attempts: int
    adoptions: int
    reason: str
    traceback: str


class CurveEntry(TypedDict):
    """A stored evaluation, and the decision on it."""

    progress: dict[str, object]
    decision: str


def curve_key(index: int) -> str:
    """Return the attribute of one evaluation: a single growing list would be rewritten at every report."""
    return f"{CURVE}{index:05d}"


def curve_entry(progress: Progress, decision: Decision) -> CurveEntry:
    """Return an evaluation and its decision as one stored value."""
    return {"progress": progress.to_json(), "decision": decision.value}


def read_curve(attributes: Mapping[str, object]) -> tuple[list[Progress], Decision]:
    """Return the evaluations of a trial in order, and the decision on the last one."""
    keys = sorted(key for key in attributes if key.startswith(CURVE))
    entries = [cast("CurveEntry", attributes[key]) for key in keys]
    last = Decision(entries[-1]["decision"]) if entries else Decision.CONTINUE
    return [Progress.from_json(entry["progress"]) for entry in entries], last


def cursor_key(store: str, number: int) -> str:
    """Return the study attribute that records what tracking has written of a trial to a store."""
    return f"{CURSOR}{store}:{number}"


def read_cursor(attributes: Mapping[str, object], store: str | None) -> dict[int, str]:
    """Return the tracking token of each trial for a store, from the attributes of a study."""
    if store is None:
        return {}
    prefix = f"{CURSOR}{store}:"
    return {int(k.removeprefix(prefix)): str(v) for k, v in attributes.items() if k.startswith(prefix)}


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored trial.

    Attributes:
        trial_id: Optuna's id of the trial.
        lease: identifies the process that owns the trial; None if no process does.
    """

    trial_id: int
    record: TrialRecord
    attributes: TrialAttributes
    lease: Lease | None


def read_trials(storage: RetryingStorage, study_id: int, *, since: int = 0, among: Sequence[int] = ()) -> list[Stored]:
    """Read a consistent snapshot of a study's trials, by number, four times as fast as Optuna does.

    Args:
        since: read the trials with this number or a higher one.
        among: read the trials with these Optuna ids as well, unless they are waiting.
    """
    return storage.read(partial(_read, study_id=study_id, since=since, among=among))


def read_trial(connection: Connection, study_id: int, trial_id: int) -> Stored:
    """Read one started trial within a transaction."""
    return _read(connection, study_id, since=NO_NUMBER, among=[trial_id])[0]


def _read(connection: Connection, study_id: int, since: int, among: Sequence[int]) -> list[Stored]:
    rows = read_rows(connection, study_id, since, among)
    running = [row.trial_id for row in rows if row.state is TrialState.RUNNING]
    leases = read_leases(connection, running) if running else {}
    return [_stored(row, leases.get(row.trial_id)) for row in rows]


def _stored(row: TrialRow, lease: Lease | None) -> Stored:
    record = record_of(
        row.number,
        State(row.state.name),
        row.attributes,
        values=tuple(row.values) or None,
        worker=lease.holder if lease is not None and lease.seems_live(time.time()) else None,
        started=row.started,
        ended=row.ended,
    )
    return Stored(row.trial_id, record, cast("TrialAttributes", row.attributes), lease)


def record_of(number: int, state: State, attributes: Mapping[str, object], **others: Any) -> TrialRecord:
    """Return the record of a trial, built from its attributes.

    Args:
        others: fields of the record that are not stored as attributes.
    """
    stored = cast("TrialAttributes", attributes)
    plan = stored.get(PLAN)
    return TrialRecord(
        number=number,
        state=state,
        kind=stored.get(KIND, "sampled"),
        params=stored.get(PARAMS, {}),
        curve=tuple(read_curve(attributes)[0]),
        plan=UNPLANNED if plan is None else TRIAL_PLAN.validate_python(plan),
        seed=stored.get(SEED),
        settings=stored.get(SETTINGS, {}),
        reason=stored.get(REASON),
        traceback=stored.get(TRACEBACK),
        done=bool(stored.get(DONE)),
        retry_of=stored.get(RETRY_OF),
        replicate_of=stored.get(REPLICATE_OF),
        sweep_of=stored.get(SWEEP_OF),
        **others,
    )
