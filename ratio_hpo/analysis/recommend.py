"""The response model's advice on a study: the stored advice if it is current, otherwise computed again."""

from __future__ import annotations

from dataclasses import dataclass

from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.metrics.front import point_key
from ratio_hpo.study.advice import MIN_TRIALS, Advice, advise, best_trial
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
