"""Tracking: write studies to MLflow in the background, without delaying the search."""

from ratio_hpo.tracking.base import StudyFacts, Tracker
from ratio_hpo.tracking.loop import TrackingLoop

__all__ = ["StudyFacts", "Tracker", "TrackingLoop"]
