"""Exports of a trial: an experiment file for `search`, and a recipe for training outside this package."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratio_hpo.analysis.recommend import winner
from ratio_hpo.analysis.results import StudyResult
from ratio_hpo.analysis.status import finite
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.measures import ERROR
from ratio_hpo.core.plans import StagePlan
from ratio_hpo.core.trial import Params, State, TrialRecord
from ratio_hpo.metrics.front import summary
from ratio_hpo.study.snapshot import StudyView
from ratio_hpo.training.parameters import PARAMETERS

SIMILAR = 0.1
"""Largest difference in ratio between similar trials."""

STAGE_KEYS = ("batch_size", "learning_rate", "schedule", "warmup", "weight_decay", "clip", "max_epochs")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeShare:
    """A source of a stage.

    Attributes:
        requested: Share that the mixture requests.
        examples: Realised share of windows.
        tokens: Realised share of tokens.
        windows: Number of windows.
        token_count: Number of tokens.
        epochs: Passes over the source.
    """

    requested: float
    examples: float
    tokens: float
    windows: int
    token_count: int
    epochs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeStage:
    """A stage as it was trained.

    Attributes:
        steps: Number of optimiser updates.
        batch_size: Number of windows per update.
        learning_rate: Peak learning rate.
        schedule: Learning-rate schedule after warm-up.
        warmup: Number of updates of the warm-up.
        weight_decay: Weight decay.
        clip: Maximum gradient norm.
        max_epochs: Maximum number of passes over a source; null: no limit.
        windows: Total number of windows.
        shares: The sources by name.
        capped: Sources that reached their cap, with the draw at which they reached it.
    """

    steps: int
    batch_size: int
    learning_rate: float
    schedule: str
    warmup: int
    weight_decay: float
    clip: float
    max_epochs: float | None
    windows: int
    shares: Mapping[str, RecipeShare]
    capped: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarTrials:
    """Final scores of completed trials with a similar ratio but other parameters.

    Attributes:
        within_ratio: Largest difference in ratio.
        count: Number of these trials.
        lowest, highest: Lowest and highest score; null: there are none.
    """

    within_ratio: float
    count: int
    lowest: float | None
    highest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeScore:
    """What to expect of the recipe.

    Attributes:
        score: Primary score of the trial.
        standard_error: Standard error of the score over evaluation items; null: not recorded.
        by_language: Score of each language.
        similar_trials: Scores of similar trials.
        cost: Attributed cost.
        seconds: Attributed seconds of training; null: unknown.
        flops: Attributed floating-point operations; null: unknown.
        cost_to_target: Attributed cost at which the target was reached; null: never, or no target yet.
        notes: Limits of these numbers.
    """

    score: float
    standard_error: float | None
    by_language: Mapping[str, float]
    similar_trials: SimilarTrials
    cost: float
    seconds: float | None
    flops: float | None
    cost_to_target: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """The optimiser of the built-in objective.

    Attributes:
        name, betas, eps: Name, decay rates and epsilon of the optimiser.
        decayed: What the weight decay applies to.
    """

    name: str = "AdamW"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    decayed: str = "weights, not biases and norms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(StudyResult):
    """How to train a trial outside this package.

    Attributes:
        trial: Number of the trial.
        state: State of the trial.
        base: The base model; null for a custom objective.
        reference: The language whose share is 1 - ratio.
        ratio: Requested ratio; null: the trial has none.
        ratio_realised: Realised ratio; null: unknown.
        params: Parameters, in absolute values.
        seed: Seed of the trial's training.
        optimizer: The optimiser; absent for a custom objective.
        windows, tasks, engine: Settings of the built-in objective; absent for a custom objective.
        stages: The stages by name.
        expected: What to expect of it.
    """

    trial: int
    state: str
    base: str | None
    reference: str
    ratio: float | None
    ratio_realised: float | None
    params: Params
    seed: int | None
    optimizer: Optimizer | None
    windows: Mapping[str, object] | None = None
    tasks: Mapping[str, object] | None = None
    engine: Mapping[str, object] | None = None
    stages: Mapping[str, RecipeStage]
    expected: RecipeScore

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON content, without settings that are absent."""
        optional = ("optimizer", "windows", "tasks", "engine")
        content = StudyResult.to_json(self)
        return {key: value for key, value in content.items() if value is not None or key not in optional}


def recipe(view: StudyView, number: int | None = None) -> Recipe:
    """Return a recipe: shares of each source in examples and tokens, hyperparameters of each stage, expected scores.

    Raises:
        StudyError: If there is no such trial, or it has no score.
    """
    record = winner(view, number)
    last, config = record.scored[-1], view.about.config
    is_built_in = "stages" in config  # a custom objective has none
    settings = {key: config.get(key) or None for key in ("windows", "tasks", "engine") if is_built_in}
    return Recipe(
        study=view.name,
        trial=record.number,
        state=record.state.value,
        base=view.about.base,
        reference=view.about.reference,
        ratio=record.ratio,
        ratio_realised=record.plan.ratio_realised,
        params=record.params,
        seed=record.seed,
        optimizer=Optimizer() if is_built_in else None,
        **settings,
        stages={name: _stage(view, record, name, plan) for name, plan in record.plan.stages.items()},
        expected=RecipeScore(
            score=last.primary_score,
            standard_error=last.scores.get(ERROR),
            by_language=last.by_language(),
            similar_trials=_similar(view, record),
            cost=last.cost,
            seconds=last.measures.get("seconds"),
            flops=last.measures.get("flops"),
            cost_to_target=finite(summary(record, view.target, view.largest_cost)["cost_to_target"]),
            notes=_notes(view, record),
        ),
    )


def winning_config(view: StudyView, number: int | None = None) -> tuple[dict[str, object], str]:
    """Return the study's experiment with the exported trial enqueued right after the baselines.

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
    config = copy.deepcopy(dict(view.about.config))
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


def _stage(view: StudyView, record: TrialRecord, name: str, plan: StagePlan) -> RecipeStage:
    """Return a stage as it was trained."""
    config = view.about.config
    stage_name, _, target = name.partition(".")
    trained = {key: spec["stage"] for key, spec in config.get("targets", {}).items() if spec.get("stage")}
    # the stage of the only trained target is named `target`, without the target's name
    stage = dict(config["stages"].get(name) or trained.get(target) or next(iter(trained.values())))
    for parameter, (owner, key) in PARAMETERS.items():
        if owner == stage_name and parameter in record.params:
            stage[key] = record.params[parameter]
    if target:
        prefix = f"{target}."
        stage |= {key.removeprefix(prefix): value for key, value in record.params.items() if key.startswith(prefix)}
    return RecipeStage(
        steps=plan.steps,
        **{key: stage[key] for key in STAGE_KEYS},
        windows=plan.windows,
        shares={
            source: RecipeShare(
                requested=realised.requested,
                examples=realised.share_windows,
                tokens=realised.share_tokens,
                windows=realised.windows,
                token_count=realised.tokens,
                epochs=realised.epochs,
            )
            for source, realised in plan.sources.items()
        },
        capped=plan.capped,
    )


def _similar(view: StudyView, record: TrialRecord) -> SimilarTrials:
    """Return the range of final scores of completed trials with a similar ratio but other parameters."""
    scores = [
        other.scored[-1].primary_score
        for other in view.records
        if other.state is State.COMPLETE and other.scored and other.ratio is not None and record.ratio is not None
        and abs(other.ratio - record.ratio) <= SIMILAR
    ]  # fmt: skip
    lowest, highest = min(scores, default=None), max(scores, default=None)
    return SimilarTrials(within_ratio=SIMILAR, count=len(scores), lowest=lowest, highest=highest)


def _notes(view: StudyView, record: TrialRecord) -> tuple[str, ...]:
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
    return tuple(notes)
