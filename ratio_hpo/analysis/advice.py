"""What the response model says of a study: as its driver stored it, or anew where more is known since."""

from __future__ import annotations

from ratio_hpo.study.advice import Advice, advise
from ratio_hpo.study.response import response_of
from ratio_hpo.study.view import StudyView


def advice_of(view: StudyView) -> Advice | None:
    """What the model says; None: too few trials have ended."""
    if view.advice is not None and view.advice.is_of(view.records):
        return view.advice
    return advise(response_of(view), view.records)
