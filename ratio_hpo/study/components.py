"""The sampler, the pruner and the response model of a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.extensions import Options, check_component
from ratio_hpo.core.plans import UNPLANNED, TrialPlan
from ratio_hpo.core.trial import Params
from ratio_hpo.pruners.base import CheckedPruner, Pruner, PrunerContext
from ratio_hpo.pruners.registry import make_pruner
from ratio_hpo.samplers.base import CheckedSampler, Sampler, SamplerContext
from ratio_hpo.samplers.registry import make_sampler
from ratio_hpo.samplers.step_sweep import StepSweeps
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.warm_start import Known

PlanTrial = Callable[[Params, int], TrialPlan]
"""Resolves parameters and a training seed to a trial plan; raises an error for parameters that it refuses."""

NamedSampler = tuple[str, Options] | Sampler
NamedPruner = tuple[str, Options] | Pruner
"""A component by name with its options, or the component itself."""


@dataclass(frozen=True, slots=True)
class Components:
    """Sampler, step sweeps, pruner and response model of a study.

    Attributes:
        names: Names of sampler and pruner, as they are recorded for each trial.
    """

    sampler: Sampler
    step_sweeps: StepSweeps
    pruner: Pruner
    response: Response
    names: tuple[str, str]


def name_of(component: tuple[str, Options] | object) -> str:
    """Return the name of a component; for an instance, that of its class."""
    if isinstance(component, tuple):
        return str(component[0])
    return f"{type(component).__module__}:{type(component).__qualname__}"


def make_components(
    plan: StudyPlan, sampler: NamedSampler, pruner: NamedPruner, plan_trial: PlanTrial, known: Known
) -> Components:
    """Build the components of a study.

    Args:
        plan: Plan of the study.
        sampler: Name and options, or a sampler.
        pruner: Name and options, or a pruner.
        plan_trial: Resolves a trial.
        known: Returns a stored study by name, for a warm start.

    Raises:
        ConfigError: A name is unknown, or an option is invalid.
        StudyError: The study of a warm start does not exist or does not match this one.
    """

    def planned(params: Params) -> TrialPlan:
        try:
            return plan_trial(params, plan.seed)
        except (ConfigError, ValueError):  # the trial itself fails later and reports the reason
            return UNPLANNED

    curves = PlannedCurves(plan.space, plan.rungs, plan.largest_cost, plan.about.cost_unit, planned)

    def new_response() -> Response:
        metadata = plan.about
        return Response(plan.space, curves, metadata.targets, weights=metadata.weights, looks_ahead=plan.looks_ahead)

    response, names = new_response(), (name_of(sampler), name_of(pruner))
    if isinstance(sampler, tuple):
        longest = float(next(iter(plan.rungs.values()), (1,))[-1])
        context = SamplerContext(study=plan.name, space=plan.space, seed=plan.seed, response=response,
                                 new_response=new_response, known=known, sources=plan.sources,
                                 windows=longest)  # fmt: skip
        sampler = make_sampler(*sampler, context)
    else:
        check_component("sampler", names[0], sampler, "propose")
        sampler = CheckedSampler(sampler, names[0])
    if isinstance(pruner, tuple):
        pruner = make_pruner(*pruner, PrunerContext(response=response, rungs=plan.rungs, languages=plan.languages))
    else:
        check_component("pruner", names[1], pruner, "decide")
        pruner = CheckedPruner(pruner, names[1])
    return Components(sampler, StepSweeps(plan.space, response), pruner, response, names)
