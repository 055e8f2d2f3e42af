"""Writes down what happened, beside the search and never in its way."""

from ratio_hpo.tracking.base import StudyFacts, Tracker
from ratio_hpo.tracking.loop import TrackingLoop

__all__ = ["StudyFacts", "Tracker", "TrackingLoop"]
