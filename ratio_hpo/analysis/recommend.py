"""The response model's advice on a study, stored or computed again: the recommended trial and the front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratio_hpo.analysis.results import StudyResult
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.metrics.front import front, point_key, study_hypervolume
from ratio_hpo.study.advice import MIN_TRIALS, Advice, Member, advise, best_trial
from ratio_hpo.study.snapshot import StudyView, response_of


def advice_of(view: StudyView) -> Advice | None:
    """Return the response model's advice, or None if too few trials have ended."""
    if view.advice is not None and view.advice.is_of(view.records):
        return view.advice
    return advise(response_of(view), view.records)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommended trial of a study.

    Attributes:
        record: The recommended trial.
        mean: Posterior mean of its final primary score; None before the response model is fitted.
        sd: Posterior standard deviation of its final primary score; None before the response model is fitted.
        best_seen: The completed trial with the highest final primary score.
    """

    record: TrialRecord
    mean: float | None
    sd: float | None
    best_seen: TrialRecord

    @property
    def weights(self) -> str:
        """Name of the folder with the trial's last weights, below the weights of the study."""
        last = self.record.scored[-1]
        return point_key(self.record.number, last.stage, last.windows)

    @property
    def why(self) -> str:
        """The reason for the recommendation, in a few words."""
        if self.mean is None:
            return f"highest final score seen; the response model needs {MIN_TRIALS} ended trials"
        if self.record.number == self.best_seen.number:
            return "highest predicted score and highest score seen"
        return f"highest predicted score; trial {self.best_seen.number} has the highest score seen"


def recommend(view: StudyView) -> Recommendation | None:
    """Return the completed trial with the highest predicted final primary score, or None if no trial is complete."""
    best_seen = best_trial(view.records)
    if best_seen is None:
        return None
    advice = advice_of(view)
    if advice is None:
        return Recommendation(best_seen, None, None, best_seen)
    return Recommendation(view.records[advice.trial], advice.mean, advice.sd, best_seen)


def require_recommendation(view: StudyView) -> Recommendation:
    """Return the recommendation of a study.

    Raises:
        StudyError: If no trial is complete.
    """
    recommendation = recommend(view)
    if recommendation is None:
        raise StudyError(f"study {view.name} has no COMPLETE trial; wait until one is complete or name a ⟨trial⟩")
    return recommendation


def winner(view: StudyView, number: int | None = None) -> TrialRecord:
    """Return the trial to export: the requested one, or else the recommended one.

    Raises:
        StudyError: If there is no such trial, or it has no score.
    """
    record = require_recommendation(view).record if number is None else view.trial(number)
    if not record.scored:
        raise StudyError(f"trial {record.number} of {view.name} has no evaluation; name another trial with ⟨trial⟩")
    return record


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoPoint:
    """A point of the front: one evaluation of one trial.

    Attributes:
        trial: Number of the trial.
        kind: `sampled`, `enqueued`, or the baseline's name.
        state: State of the trial.
        ratio: Requested ratio; null: the trial has none.
        ratio_realised: Realised ratio; null: unknown.
        params: Parameters, in absolute values.
        stage: Stage of the evaluation.
        windows: Windows consumed in the stage.
        cost: Attributed cost.
        score: Primary score.
        by_language: Score of each language.
        weights: Name of the point's folder below `checkpoints/<study>`, where weights are kept.
        recommended: Whether its trial is the recommended one.
        expected: Score by the response model; null: there is no model, or the probability is below .05.
        sd: Standard deviation of `expected`; null as for `expected`.
        probability: Probability that the point belongs to the front; null: there is no model.
    """

    trial: int
    kind: str
    state: str
    ratio: float | None
    ratio_realised: float | None
    params: Params
    stage: str
    windows: int
    cost: float
    score: float
    by_language: Mapping[str, float]
    weights: str
    recommended: bool
    expected: float | None
    sd: float | None
    probability: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoFront(StudyResult):
    """The anytime front of a study.

    Attributes:
        target: Target score of cost to target; null until trial 0 has finished.
        measure: Name of the primary score.
        hypervolume: Hypervolume of the front, as a part of [0, largest cost] x [0, 1].
        points: Points of the front, ordered by cost.
        also_likely: Points measured below the front that may belong to it, ordered by cost.
    """

    target: float | None
    measure: str
    hypervolume: float
    points: tuple[ParetoPoint, ...]
    also_likely: tuple[Member, ...]


def pareto(view: StudyView) -> ParetoFront:
    """Return the anytime front ordered by cost, with the probability that each point is on it."""
    advice = advice_of(view)
    predictions = {} if advice is None else {member.key: member for member in advice.front}
    points = []
    for point in front(view.records):
        trial, progress, prediction = point.trial, point.progress, predictions.pop(point.key, None)
        unlikely = None if advice is None else 0.0
        points.append(
            ParetoPoint(
                trial=trial.number,
                kind=trial.kind,
                state=trial.state.value,
                ratio=trial.ratio,
                ratio_realised=trial.plan.ratio_realised,
                params=trial.params,
                stage=progress.stage,
                windows=progress.windows,
                cost=progress.cost,
                score=progress.primary_score,
                by_language=progress.by_language(),
                weights=point.key,
                recommended=view.recommended is not None and trial.number == view.recommended.number,
                expected=None if prediction is None else prediction.mean,
                sd=None if prediction is None else prediction.sd,
                probability=unlikely if prediction is None else prediction.probability,
            )
        )
    return ParetoFront(
        study=view.name,
        target=view.target,
        measure=view.about.measure,
        hypervolume=study_hypervolume(view.records, view.largest_cost),
        points=tuple(points),
        also_likely=tuple(predictions.values()),
    )
