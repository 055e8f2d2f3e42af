"""Ask, report and tell on top of Optuna: samplers, pruners, storage and leases. No training happens here."""

from ratio_hpo.study.plan import Baseline, StudyPlan, TargetScore
from ratio_hpo.study.running_trials import TrialAssignment
from ratio_hpo.study.study import Study

__all__ = ["Baseline", "Study", "StudyPlan", "TargetScore", "TrialAssignment"]
