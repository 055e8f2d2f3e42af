"""From Optuna's trials to records: attribute names, and how a curve is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.study.leases import read_lease

KIND, PARAMS, PLAN, SETTINGS = "kind", "params", "plan", "settings"
ASKED, PLANNED, RETRY_OF = "asked", "planned", "retry_of"
LEASE, DONE, REASON, TRACEBACK = "lease", "done", "reason", "traceback"
CURVE = "curve:"
CURSOR = "tracked:"


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
    """A trial as analysis and tracking see it."""
    attributes = trial.user_attrs
    lease = read_lease(attributes.get(LEASE)) if trial.state is TrialState.RUNNING else None
    worker = f"{lease.host.split('/')[0]}:{lease.pid}" if lease is not None and lease.is_live() else None
    return TrialRecord(
        number=trial.number,
        state=State(trial.state.name),
        kind=attributes.get(KIND, "sampled"),
        params=attributes.get(PARAMS, {}),
        curve=tuple(read_curve(attributes)[0]),
        plan=attributes.get(PLAN, {}),
        settings=attributes.get(SETTINGS, {}),
        values=tuple(trial.values) if trial.values else None,
        reason=attributes.get(REASON),
        traceback=attributes.get(TRACEBACK),
        worker=worker,
        done=bool(attributes.get(DONE)),
        started=trial.datetime_start.timestamp() if trial.datetime_start else None,
        retry_of=attributes.get(RETRY_OF),
        ended=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
    )
