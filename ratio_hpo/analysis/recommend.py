"""Which trial to take: the one that the response model expects most of, beside the one with the best score seen.

Of many noisy scores the highest is too high, and often not that of the best trial; the model has seen all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ratio_hpo.analysis.status import best_trial
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.study.course import Courses
from ratio_hpo.study.response import Response
from ratio_hpo.study.view import StudyView

LEAST_TRIALS = 8
"""Trials that must have ended before the model is asked."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to take.

    Attributes:
        record: the trial.
        mean, sd: of its final headline as the model expects it; None: there is no model yet.
        best_seen: the trial with the highest final headline.
    """

    record: TrialRecord
    mean: float | None
    sd: float | None
    best_seen: TrialRecord

    @property
    def why(self) -> str:
        """In a few words."""
        if self.mean is None:
            return f"the highest final score seen; a model needs {LEAST_TRIALS} trials"
        if self.record.number == self.best_seen.number:
            return "expected highest, and the highest seen"
        return f"expected highest; trial {self.best_seen.number} has the highest score seen"


def recommend(view: StudyView) -> Recommendation | None:
    """The COMPLETE trial with the highest expected final headline; None where there is none."""
    seen = best_trial(view.records)
    if seen is None:
        return None
    courses = Courses(view.space, view.about.rungs, view.largest_cost, view.about.cost_unit)
    response = Response(view.space, courses, view.about.targets)
    ended = response.ended(view.records)
    candidates = [record.number for record in ended if record.state is State.COMPLETE]
    if len(ended) < LEAST_TRIALS or not candidates:
        return Recommendation(seen, None, None, seen)
    expected = response.model(view.records).finals()
    number = max(candidates, key=lambda number: (expected[number][0], -number))
    return Recommendation(view.records[number], *expected[number], seen)
