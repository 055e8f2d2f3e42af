"""The response model's advice on a study: the stored advice if it is current, otherwise computed again."""

from __future__ import annotations

from ratio_hpo.study.advice import Advice, advise
from ratio_hpo.study.response import response_of
from ratio_hpo.study.view import StudyView


def advice_of(view: StudyView) -> Advice | None:
    """Return the response model's advice, or None if too few trials have ended."""
    if view.advice is not None and view.advice.is_of(view.records):
        return view.advice
    return advise(response_of(view), view.records)
