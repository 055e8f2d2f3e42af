"""Ask, report and tell over Optuna: samplers, pruning, storage, leases. Decides; trains nothing."""

from ratio_hpo.study.claims import Job
from ratio_hpo.study.plan import Anchor, StudyPlan, Target
from ratio_hpo.study.study import Study

__all__ = ["Anchor", "Job", "Study", "StudyPlan", "Target"]
