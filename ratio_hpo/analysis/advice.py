"""What the response model says of a study: as its driver stored it, or anew where more is known since."""

from __future__ import annotations

from ratio_hpo.study.advice import Advice, advise
from ratio_hpo.study.course import Courses
from ratio_hpo.study.response import Response
from ratio_hpo.study.view import StudyView


def response_of(view: StudyView) -> Response:
    """What makes models of a stored study."""
    courses = Courses(view.space, view.about.rungs, view.largest_cost, view.about.cost_unit)
    return Response(view.space, courses, view.about.targets, looks_ahead=view.about.looks_ahead)


def advice_of(view: StudyView) -> Advice | None:
    """What the model says; None: too few trials have ended."""
    if view.advice is not None and view.advice.is_of(view.records):
        return view.advice
    return advise(response_of(view), view.records)
