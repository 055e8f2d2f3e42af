"""Objectives: functions from parameters to a stream of progress; the built-in one trains stages."""

from ratio_hpo.core.trial import Objective
from ratio_hpo.objective.checked import CheckedObjective
from ratio_hpo.objective.design import Design
from ratio_hpo.objective.pipeline import Pipeline

__all__ = ["CheckedObjective", "Design", "Objective", "Pipeline"]
