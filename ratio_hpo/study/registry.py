"""Which sampler and pruner a study has: ours ask a response model; others are rules of mixtures,
laws that are fitted to them, or Optuna's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratio_hpo.core.config import check_options
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.names import LAWS, RULED
from ratio_hpo.core.plans import UNPLANNED, TrialPlan
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.study import mixture
from ratio_hpo.study.baseline_mixtures import RuleSampler
from ratio_hpo.study.front_pruner import FrontPruner
from ratio_hpo.study.mixing_laws import LawSampler
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.planned_curve import PlannedCurves
from ratio_hpo.study.pruning import OptunaPruner, Pruner
from ratio_hpo.study.response import Response
from ratio_hpo.study.samplers import OptunaSampler, Sampler
from ratio_hpo.study.step_sweep import StepSweeps
from ratio_hpo.study.warm_start import Known, beliefs

Named = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Components:
    """What a study works with; the response makes its models."""

    sampler: Sampler
    step_sweeps: StepSweeps
    pruner: Pruner
    response: Response


def make_components(
    plan: StudyPlan,
    sampler: Named,
    pruner: Named,
    plan_trial: Callable[[Params, int], TrialPlan],
    records: Callable[[], Sequence[TrialRecord]],
    known: Known,
) -> Components:
    """The sampler and the pruner by name and options.

    Args:
        records: all trials so far.
        known: stored studies by name, of which a search may learn.

    Raises:
        ConfigError: unknown name, or options that it does not take.
        StudyError: a study to learn from is not there, or says nothing of this one.
    """

    def planned(params: Params) -> TrialPlan:
        try:
            return plan_trial(params, plan.seed)
        except (ConfigError, ValueError):  # what cannot be planned fails as a trial, where its reason is shown
            return UNPLANNED

    courses = PlannedCurves(plan.space, plan.rungs, plan.largest_cost, plan.about.cost_unit, planned)

    def response() -> Response:
        about = plan.about
        return Response(plan.space, courses, about.targets, weights=about.weights, looks_ahead=plan.looks_ahead)

    name, options = sampler
    known_so_far = response()
    chosen: Sampler
    if name == "mixture":
        check_options(f"sampler: {name}", options, mixture.OPTIONS)
        proposing = known_so_far
        if options:  # what is shown of a study is what it has seen itself
            proposing = response()
            proposing.priors += beliefs(proposing, plan.name, options, known)
        chosen = mixture.MixtureProposals(proposing, seed=plan.seed)
    elif name in RULED:
        longest = float(next(iter(plan.rungs.values()), (1,))[-1])
        chosen = RuleSampler(name, options, space=plan.space, sources=plan.sources, windows=longest, seed=plan.seed)
    elif name in LAWS:
        chosen = LawSampler(name, options, known_so_far, sources=plan.sources, seed=plan.seed)
    else:
        chosen = OptunaSampler(name, options, space=plan.space, seed=plan.seed)
    step_sweeps = StepSweeps(plan.space, known_so_far)
    name, options = pruner
    if name == "front":
        return Components(chosen, step_sweeps, FrontPruner(options, known_so_far, records), known_so_far)
    stopping = OptunaPruner(name, options, plan.rungs, plan.languages)
    return Components(chosen, step_sweeps, stopping, known_so_far)
