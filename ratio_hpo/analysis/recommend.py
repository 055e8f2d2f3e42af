"""Which trial to take: the one that the response model expects most of, beside the one with the best score seen.

Of many noisy scores the highest is too high, and often not that of the best trial; the model has seen all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ratio_hpo.analysis.advice import advice_of
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.study.advice import MIN_TRIALS, best_trial
from ratio_hpo.study.front import point_key
from ratio_hpo.study.view import StudyView


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to take.

    Attributes:
        record: the trial.
        mean, sd: of its final primary score as the model expects it; None: there is no model yet.
        best_seen: the trial with the highest final primary score.
    """

    record: TrialRecord
    mean: float | None
    sd: float | None
    best_seen: TrialRecord

    @property
    def weights(self) -> str:
        """The name of the folder that its last weights are kept in, below those of the study."""
        last = self.record.scored[-1]
        return point_key(self.record.number, last.stage, last.windows)

    @property
    def why(self) -> str:
        """In a few words."""
        if self.mean is None:
            return f"the highest final score seen; a model needs {MIN_TRIALS} trials"
        if self.record.number == self.best_seen.number:
            return "expected highest, and the highest seen"
        return f"expected highest; trial {self.best_seen.number} has the highest score seen"


def recommend(view: StudyView) -> Recommendation | None:
    """The COMPLETE trial with the highest expected final primary score; None where there is none."""
    seen = best_trial(view.records)
    if seen is None:
        return None
    advice = advice_of(view)
    if advice is None:
        return Recommendation(seen, None, None, seen)
    return Recommendation(view.records[advice.trial], advice.mean, advice.sd, seen)
