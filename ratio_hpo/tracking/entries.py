"""What is written of a trial: names and values, as every MLflow store takes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ratio_hpo.core.errors import printable
from ratio_hpo.core.trial import Progress, TrialRecord
from ratio_hpo.tracking.base import StudyFacts
from ratio_hpo.tracking.names import REAL_NAME, safe_name

STUDY, TRIAL, KIND = "ratio_hpo.study", "ratio_hpo.trial", "ratio_hpo.kind"
WRITTEN, KEPT = "ratio_hpo.written", "ratio_hpo.checkpoints"
NOTE = "mlflow.note.content"
"""The tag that MLflow shows as a run's description."""

MAX_PARAM, MAX_TAG = 500, 4000

COSTS = {
    "seconds": "cost/seconds",
    "tokens": "cost/tokens",
    "flops": "cost/flops",
    "paid_seconds": "paid/seconds",
    "paid_flops": "paid/flops",
    "paid_scored": "paid/scored_windows",
    "paid_scoring_seconds": "paid/scoring_seconds",
}
"""Measures of an objective that are costs: attributed ones, and what was really spent."""


def params_of(record: TrialRecord) -> dict[str, str]:
    """What `_params` yields, under names that MLflow takes; of two of one name the first one."""
    found: dict[str, str] = {}
    for name, value in _params(record):
        found.setdefault(safe_name(name), value)
    return found


def real_names_of(record: TrialRecord) -> dict[str, str]:
    """Tags with the real names of parameters, scores and measures that had to be called otherwise."""
    names = {name for name, _ in _params(record)}
    names |= {key for point in record.curve for key in (*point.scores, *point.measures)}
    return {f"{REAL_NAME}{safe_name(name)}": name for name in sorted(names) if safe_name(name) != name}


def _params(record: TrialRecord) -> Iterator[tuple[str, str]]:
    """Parameters; steps, shares as asked and as realised, and epochs of each source of each stage."""
    for key, value in record.params.items():
        if key != "shares":
            yield key, _text(value)
    plan = record.plan
    if "ratio" not in record.params and plan.ratio is not None:
        yield "ratio", _text(plan.ratio)
    if plan.ratio_realised is not None:
        yield "ratio_realised", _text(plan.ratio_realised)
    if not plan.stages:
        for source, share in record.params.get("shares", {}).items():
            yield f"requested/{source}", _text(share)
    for k, (name, stage) in enumerate(plan.stages.items()):
        prefix = "" if k == 0 else f"{name}/"
        yield f"{prefix}steps" if k else f"{name}/steps", _text(stage.steps)
        for source, got in stage.sources.items():
            yield f"{prefix}requested/{source}", _text(got.requested)
            yield f"{prefix}realised/{source}", _text(got.share_windows)
            yield f"{prefix}epochs/{source}", _text(got.epochs)
            if got.capped is not None:
                yield f"{prefix}capped/{source}", _text(got.capped)


def run_name(study: str, number: int | str, ratio: float | str | None) -> str:
    """How the run of a trial is called: study, number, and the ratio where it has one.

    Examples:
        >>> run_name("polyglot-world-default", 7, 0.61803)
        'polyglot-world-default/7 ratio 0.62'
    """
    return f"{study}/{number}" + ("" if ratio is None else f" ratio {float(ratio):.2f}")


def description(study: str, number: int | str) -> str:
    """What the run is, and the command that shows it."""
    return (
        f"Trial {number} of study {study}: an intermediate stage on a mixture, then the target stage, evaluated along "
        f"the way; the step is the cost from the base model on.\n\n"
        f"`ratio-hpo trial {number} {study}` shows its parameters, mixture and curve."
    )


def tags_of(facts: StudyFacts, record: TrialRecord) -> dict[str, str]:
    """State, baseline, membership of the front, reason, versions and commit."""
    settings = record.settings
    tags = {
        STUDY: facts.study,
        TRIAL: str(record.number),
        KIND: "trial",
        NOTE: description(facts.study, record.number),
        "state": record.state.value,
        "baseline": record.kind if record.is_baseline else "no",
        "kind": record.kind,
        "front": "yes" if record.number in facts.front else "no",
        "experiment": facts.experiment,
        **{key: str(settings[key]) for key in ("sampler", "pruner", "backend") if key in settings},
        **{safe_name(f"version/{name}"): str(found) for name, found in settings.get("versions", {}).items()},
        **{key: printable(name) for key, name in real_names_of(record).items()},
    }
    commit = settings.get("git_commit")
    if commit:
        tags["git_commit"] = commit
        tags["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
    if record.state.finished and facts.ends(record).get("final/cost_to_target") == math.inf:
        tags["censored"] = "yes"
    if record.reason:
        tags["reason"] = printable(record.reason)[:MAX_TAG]
    if record.traceback:
        tags["traceback"] = printable(record.traceback)[-MAX_TAG:]
    return tags


def metrics_of(point: Progress, cost_unit: str) -> dict[str, float]:
    """Scores, measures and costs of one evaluation."""
    values: dict[str, float] = dict(point.scores)
    values[f"cost/{cost_unit}"] = point.cost
    values[f"paid/{cost_unit}"] = point.paid_cost
    for key, value in point.measures.items():
        values[f"loss/{point.stage}" if key == "loss" else COSTS.get(key, key)] = value
    return {safe_name(key): float(value) for key, value in values.items() if math.isfinite(value)}


def end_metrics_of(facts: StudyFacts, record: TrialRecord) -> Mapping[str, float]:
    """Final numbers; a censored cost to target has no number, but a tag."""
    return {key: float(value) for key, value in facts.ends(record).items() if math.isfinite(value)}


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))[:MAX_PARAM]
