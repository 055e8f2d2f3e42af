"""Results about studies and trials. Their fields are the keys of the printed JSON (docs/reference/json.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratio_hpo.core.json_format import Result
from ratio_hpo.core.plans import TrialPlan
from ratio_hpo.core.trial import Params
from ratio_hpo.study.manage import StudySummary


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyList(Result):
    """All studies of a storage.

    Attributes:
        studies: The studies, in order of creation.
    """

    studies: tuple[StudySummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult(Result):
    """A result about one study.

    Attributes:
        study: Name of the study.
    """

    study: str


@dataclass(frozen=True, kw_only=True)  # no slots: a class cannot have two bases with slots
class TrialEntry:
    """A trial with its final score, cost and convergence.

    Attributes:
        number: Number of the trial.
        state: WAITING, RUNNING, COMPLETE, PRUNED or FAIL.
        kind: `sampled`, `enqueued`, or the baseline's name.
        baseline: Whether it is a baseline.
        recommended: Whether it is the recommended trial.
        ratio: Requested total share of non-reference windows; null: the trial has no ratio.
        ratio_realised: Realised ratio; null: unknown.
        params: Parameters, in absolute values.
        score: Primary score at the last evaluation that has one; null: there is none.
        cost: Attributed cost at that evaluation.
        cost_to_target: Attributed cost at which the target was reached; null: never, or the target is not known yet.
        area_over_curve: Mean of 1 - score over the cost; lower is better.
        censored: Whether the trial ended without reaching the target.
        evaluations: Number of evaluations.
        retry_of: Number of the failed trial that it retries; null: it retries none.
        sweep_of: Number of the trial whose mixture it trains for another number of steps (`type: step_sweep`).
        reason: Why it failed or was pruned; null otherwise.
        worker: Host and process that own it; null: none.
        interrupted: Whether it is RUNNING without an owner; the next search resumes it.
    """

    number: int
    state: str
    kind: str
    baseline: bool
    recommended: bool
    ratio: float | None
    ratio_realised: float | None
    params: Params
    score: float | None
    cost: float | None
    cost_to_target: float | None
    area_over_curve: float | None
    censored: bool
    evaluations: int
    retry_of: int | None
    sweep_of: int | None
    reason: str | None
    worker: str | None
    interrupted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """An evaluation of a trial.

    Attributes:
        stage: Name of the stage.
        windows: Windows consumed in the stage.
        cost: Attributed cost.
        paid: Paid cost, after reuse; null: equal to `cost`.
        score: Primary score; null: not every target was scored.
        scores: All scores by key.
        measures: Other numbers by name: loss, learning rate, seconds.
    """

    stage: str
    windows: int
    cost: float
    paid: float | None
    score: float | None
    scores: Mapping[str, float]
    measures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDetails(TrialEntry, StudyResult):
    """A trial with its curve.

    Attributes:
        plan: Steps, requested and realised shares, tokens, epochs and caps of each source, by stage.
        seed: Seed of draw, dropout and head; null: the trial has not started.
        settings: Sampler, pruner, backend, workers, versions, commit.
        traceback: Traceback of a failure; null otherwise.
        curve: Evaluations in order of cost.
    """

    plan: TrialPlan
    seed: int | None
    settings: Mapping[str, object]
    traceback: str | None
    curve: tuple[Evaluation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A predicted score.

    Attributes:
        score: Posterior mean.
        sd: Posterior standard deviation.
    """

    score: float
    sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BestTrial(TrialDetails):
    """The recommended trial: the completed trial with the highest predicted score.

    Attributes:
        why: Reason for the recommendation.
        expected: Predicted final primary score; null: fewer than 8 trials have ended.
        best_seen: Number of the COMPLETE trial with the highest final primary score.
        weights: Folder of its final weights; null: not kept.
    """

    why: str
    expected: Expectation | None
    best_seen: int
    weights: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecommendation:
    """The recommendation that the driver stored last.

    Attributes:
        trial: Number of the recommended trial.
        score: Predicted score.
        sd: Standard deviation of the predicted score.
        as_of: Number of ended trials that it is based on.
        stale: Whether later results are not included.
    """

    trial: int
    score: float
    sd: float
    as_of: int
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus(StudyResult):
    """The state of a study.

    Attributes:
        experiment: Name of the experiment.
        space: Name of the space.
        base: The base model; null for a custom objective.
        trials_asked: Total number of trials that the last search requested.
        counts: Number of trials by state: WAITING, RUNNING, COMPLETE, PRUNED, FAIL.
        diverged: Number of FAIL trials whose loss was not finite.
        waiting_for_target: Number of trials that have finished and wait for trial 0.
        interrupted: Number of RUNNING trials that no process owns; the next search resumes them.
        target: Target score of cost to target; null until trial 0 has finished.
        measure: Name of the primary score: F1, accuracy, score.
        cost_unit: Unit of costs: `windows` or `tokens`.
        best: The COMPLETE trial with the highest score; null: there is none.
        recommended: The last stored recommendation; null: fewer than 8 trials have ended.
        hypervolume: Hypervolume of the anytime front, as a part of [0, largest cost] x [0, 1].
        paid_cost: Cost of what the study really trained.
        paid_seconds: Seconds of training.
        scored_windows: Number of windows that were scored.
        scoring_seconds: Seconds of scoring.
        front: Numbers of the trials with a point on the front.
        tracking_lags: Number of trials that are not completely written to MLflow.
        leaks: Overlaps of training and evaluation data, one line each.
        trials: All trials by number.
    """

    experiment: str
    space: str
    base: str | None
    trials_asked: int
    counts: Mapping[str, int]
    diverged: int
    waiting_for_target: int
    interrupted: int
    target: float | None
    measure: str
    cost_unit: str
    best: TrialEntry | None
    recommended: StoredRecommendation | None
    hypervolume: float
    paid_cost: float
    paid_seconds: float
    scored_windows: float
    scoring_seconds: float
    front: tuple[int, ...]
    tracking_lags: int
    leaks: tuple[str, ...]
    trials: tuple[TrialEntry, ...]
