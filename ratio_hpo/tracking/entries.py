"""The params, tags and metrics that are written for a trial, in a form that every MLflow store accepts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ratio_hpo.core.errors import printable
from ratio_hpo.core.trial import Progress, TrialRecord
from ratio_hpo.tracking.base import REAL_NAME, StudyFacts, safe_name

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
"""Metric names of the measures that are costs: attributed (`cost/`) and paid (`paid/`)."""


def params_of(record: TrialRecord) -> dict[str, str]:
    """Return the params of a trial under names that MLflow accepts; if two names coincide, the first one counts."""
    params: dict[str, str] = {}
    for name, value in _params(record):
        params.setdefault(safe_name(name), value)
    return params


def real_names_of(record: TrialRecord) -> dict[str, str]:
    """Return tags with the real names of parameters, scores and measures whose names MLflow does not accept."""
    names = {name for name, _ in _params(record)}
    names |= {key for point in record.curve for key in (*point.scores, *point.measures)}
    return {f"{REAL_NAME}{safe_name(name)}": name for name in sorted(names) if safe_name(name) != name}


def _params(record: TrialRecord) -> Iterator[tuple[str, str]]:
    """Yield parameters, and the steps, requested and realised shares and epochs of each stage's sources."""
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
        yield f"{name}/steps", _text(stage.steps)
        for source, planned in stage.sources.items():
            yield f"{prefix}requested/{source}", _text(planned.requested)
            yield f"{prefix}realised/{source}", _text(planned.share_windows)
            yield f"{prefix}epochs/{source}", _text(planned.epochs)
            if planned.capped is not None:
                yield f"{prefix}capped/{source}", _text(planned.capped)


def run_name(study: str, number: int | str, ratio: float | str | None) -> str:
    """Return the name of a trial's run: study, number, and the ratio if it has one.

    Examples:
        >>> run_name("polyglot-world-default", 7, 0.61803)
        'polyglot-world-default/7 ratio 0.62'
    """
    return f"{study}/{number}" + ("" if ratio is None else f" ratio {float(ratio):.2f}")


def description(study: str, number: int | str) -> str:
    """Return the description of a trial's run, with the command that shows the trial."""
    return (
        f"Trial {number} of study {study}: an intermediate stage on a mixture, then the target stage, evaluated at "
        f"each rung. The step axis is the cumulative cost from the base model.\n\n"
        f"`ratio-hpo trial {number} {study}` shows its parameters, mixture and curve."
    )


def tags_of(facts: StudyFacts, record: TrialRecord) -> dict[str, str]:
    """Return tags with state, baseline, front membership, reason, versions and commit."""
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
        **{safe_name(f"version/{name}"): str(version) for name, version in settings.get("versions", {}).items()},
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
    """Return the finite scores, measures and costs of one evaluation."""
    values: dict[str, float] = dict(point.scores)
    values[f"cost/{cost_unit}"] = point.cost
    values[f"paid/{cost_unit}"] = point.paid_cost
    for key, value in point.measures.items():
        values[f"loss/{point.stage}" if key == "loss" else COSTS.get(key, key)] = value
    return {safe_name(key): float(value) for key, value in values.items() if math.isfinite(value)}


def end_metrics_of(facts: StudyFacts, record: TrialRecord) -> Mapping[str, float]:
    """Return the final metrics; a censored cost to target is a tag, not a metric."""
    return {key: float(value) for key, value in facts.ends(record).items() if math.isfinite(value)}


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))[:MAX_PARAM]
