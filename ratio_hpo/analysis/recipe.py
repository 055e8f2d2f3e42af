"""Exports of a trial: an experiment file for `search`, and a recipe for training outside this package."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ratio_hpo.analysis.recommend import recommend
from ratio_hpo.analysis.status import finite
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.measures import ERROR
from ratio_hpo.core.plans import StagePlan
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.front import summary
from ratio_hpo.study.snapshot import StudyView
from ratio_hpo.training.parameters import PARAMETERS

SIMILAR = 0.1
"""Largest difference in ratio between similar trials."""

STAGE_KEYS = ("steps", "batch_size", "learning_rate", "schedule", "warmup", "weight_decay", "clip", "max_epochs")


def winner(view: StudyView, number: int | None = None) -> TrialRecord:
    """Return the trial to export: the requested one, or else the recommended one.

    Raises:
        StudyError: If there is no such trial, or it has no score.
    """
    if number is not None:
        record = view.trial(number)
    elif (recommendation := recommend(view)) is not None:
        record = recommendation.record
    else:
        raise StudyError(f"study {view.name} has no COMPLETE trial; wait until one is complete or name a ⟨trial⟩")
    if not record.scored:
        raise StudyError(f"trial {record.number} of {view.name} has no evaluation; name another trial with ⟨trial⟩")
    return record


def recipe(view: StudyView, number: int | None = None) -> dict[str, Any]:
    """Return a recipe: shares of each source in examples and tokens, hyperparameters of each stage, expected scores.

    Args:
        view: The study.
        number: Number of the trial; None takes the recommended trial.

    Raises:
        StudyError: If there is no such trial, or it has no score.
    """
    record = winner(view, number)
    last = record.scored[-1]
    numbers = summary(record, view.target, view.largest_cost)
    return {
        "schema": SCHEMA,
        "study": view.name,
        "trial": record.number,
        "state": record.state.value,
        "base": view.about.base,
        "reference": view.about.reference,
        "ratio": record.ratio,
        "ratio_realised": record.plan.ratio_realised,
        "params": record.params,
        "seed": record.seed,
        **_training(view),
        "stages": {name: _stage(name, plan, view.about.config, record) for name, plan in record.plan.stages.items()},
        "expected": {
            "score": last.primary_score,
            "standard_error": last.scores.get(ERROR),
            "by_language": last.by_language(),
            "similar_trials": _similar(view, record),
            "cost": last.cost,
            "seconds": last.measures.get("seconds"),
            "flops": last.measures.get("flops"),
            "cost_to_target": finite(numbers["cost_to_target"]),
            "notes": _notes(view, record),
        },
    }


def _training(view: StudyView) -> dict[str, Any]:
    """Return the training settings of the built-in objective outside its stages; empty for a custom objective."""
    config = view.about.config
    if "stages" not in config:
        return {}
    adamw = {"name": "AdamW", "betas": [0.9, 0.999], "eps": 1e-8, "decayed": "weights, not biases and norms"}
    return {"optimizer": adamw, **{key: config[key] for key in ("windows", "tasks", "engine") if config.get(key)}}


def winning_config(view: StudyView, number: int | None = None) -> tuple[dict[str, Any], str]:
    """Return the study's experiment with the exported trial enqueued right after the baselines.

    Args:
        view: The study.
        number: Number of the trial; None takes the recommended trial.

    Returns:
        The content of the experiment file, and a comment for its first lines.

    Raises:
        StudyError: If there is no such trial, or the study has no stored experiment file.
    """
    if view.about.in_process or not view.about.config:
        raise StudyError(
            f"study {view.name} has no experiment file to export: it was created from Python or by an earlier version; "
            "take the parameters from `ratio-hpo export recipe`"
        )
    record = winner(view, number)
    config: dict[str, Any] = copy.deepcopy(dict(view.about.config))
    config["name"] = f"{config['name']}-winner"
    params = {key: value for key, value in record.params.items() if key in view.space.parameters}
    baselines = sum(trial.is_baseline and trial.retry_of is None for trial in view.records)
    order = f"including this trial (baseline {record.kind})" if record.is_baseline else "then this configuration"
    config |= {"enqueue": [] if record.is_baseline else [params], "trials": baselines + (not record.is_baseline)}
    comment = (
        f"Trial {record.number} of study {view.name}: mean {view.about.measure} {record.scored[-1].primary_score:.4f} "
        f"after {record.curve[-1].cost:,.0f} {view.about.cost_unit}.\n"
        f"Searching this file trains the baselines, {order}; raise `trials` to continue the search."
    )
    return config, comment


def _stage(name: str, plan: StagePlan, config: Mapping[str, Any], record: TrialRecord) -> dict[str, Any]:
    """Return a stage as it was trained."""
    target = name.partition(".")[2]
    configured = config.get("targets", {}).get(target, {}).get("stage") or config.get("stages", {}).get(name)
    stage = dict(configured or {})
    for parameter, (owner, key) in PARAMETERS.items():
        if owner == name.partition(".")[0] and parameter in record.params:
            stage[key] = record.params[parameter]
    prefix = f"{name.partition('.')[2]}."
    stage |= {
        key.removeprefix(prefix): value
        for key, value in record.params.items()
        if key.startswith(prefix) and prefix != "."
    }
    stage["steps"] = plan.steps
    return {
        **{key: stage[key] for key in STAGE_KEYS if key in stage},
        "windows": plan.windows,
        "shares": {
            source: {
                "requested": realised.requested,
                "examples": realised.share_windows,
                "tokens": realised.share_tokens,
                "windows": realised.windows,
                "token_count": realised.tokens,
                "epochs": realised.epochs,
            }
            for source, realised in plan.sources.items()
        },
        "capped": plan.capped,
    }


def _similar(view: StudyView, record: TrialRecord) -> dict[str, Any]:
    """Return the range of final scores of completed trials with a similar ratio but other parameters."""
    scores = [
        other.scored[-1].primary_score
        for other in view.records
        if other.state is State.COMPLETE and other.scored and other.ratio is not None and record.ratio is not None
        and abs(other.ratio - record.ratio) <= SIMILAR
    ]  # fmt: skip
    if not scores:
        return {"within_ratio": SIMILAR, "count": 0, "lowest": None, "highest": None}
    return {"within_ratio": SIMILAR, "count": len(scores), "lowest": min(scores), "highest": max(scores)}


def _notes(view: StudyView, record: TrialRecord) -> list[str]:
    finished = sum(trial.state is State.COMPLETE for trial in view.records)
    notes = [
        "one training seed: another seed gives another score",
        f"selected from {finished} COMPLETE trials, so its score is biased upwards; `test` was not read",
    ]
    if record.scored[-1].scores.get(ERROR) is None:
        notes.append("no standard error was recorded")
    else:
        notes.append("the standard error is over evaluation items, not over seeds or training data")
    if record.state is not State.COMPLETE:
        notes.append(f"the trial is {record.state.value}: it did not reach its planned cost")
    return notes
