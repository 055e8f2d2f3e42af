"""Ask, report and tell over Optuna: samplers, pruning, storage, leases. Decides; trains nothing."""

from ratio_hpo.study.plan import Baseline, StudyPlan, TargetScore
from ratio_hpo.study.running_trials import TrialAssignment
from ratio_hpo.study.study import Study

__all__ = ["Baseline", "Study", "StudyPlan", "TargetScore", "TrialAssignment"]
