"""Build the sampler and the pruner of a study by name.

The default ones use the response model; the others are baseline mixtures, mixing laws, or Optuna's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.names import LAWS, RULED
from ratio_hpo.core.plans import UNPLANNED, TrialPlan
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.core.yaml import check_options
from ratio_hpo.pruners.front import FrontPruner
from ratio_hpo.pruners.optuna import OptunaPruner, Pruner
from ratio_hpo.samplers import mixture
from ratio_hpo.samplers.baseline_mixtures import RuleSampler
from ratio_hpo.samplers.mixing_laws import LawSampler
from ratio_hpo.samplers.optuna import OptunaSampler, Sampler
from ratio_hpo.samplers.step_sweep import StepSweeps
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.warm_start import Known, beliefs

Named = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Components:
    """Sampler, step sweeps, pruner and response model of a study."""

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
    """Build the components of a study.

    Args:
        sampler: name and options.
        pruner: name and options.
        plan_trial: returns the plan of a trial from its parameters and seed.
        records: returns all trials so far.
        known: returns a stored study by name, for a warm start.

    Raises:
        ConfigError: a name is unknown, or an option is invalid.
        StudyError: the study of the warm start does not exist or does not match this one.
    """

    def planned(params: Params) -> TrialPlan:
        try:
            return plan_trial(params, plan.seed)
        except (ConfigError, ValueError):  # the trial itself fails later and reports the reason
            return UNPLANNED

    curves = PlannedCurves(plan.space, plan.rungs, plan.largest_cost, plan.about.cost_unit, planned)

    def response() -> Response:
        metadata = plan.about
        return Response(plan.space, curves, metadata.targets, weights=metadata.weights, looks_ahead=plan.looks_ahead)

    name, options = sampler
    study_response = response()
    chosen_sampler: Sampler
    if name == "mixture":
        check_options(f"sampler: {name}", options, mixture.OPTIONS)
        sampler_response = study_response
        if options:  # reports use a model without priors
            sampler_response = response()
            sampler_response.priors += beliefs(sampler_response, plan.name, options, known)
        chosen_sampler = mixture.MixtureProposals(sampler_response, seed=plan.seed)
    elif name in RULED:
        longest = float(next(iter(plan.rungs.values()), (1,))[-1])
        chosen_sampler = RuleSampler(
            name, options, space=plan.space, sources=plan.sources, windows=longest, seed=plan.seed
        )
    elif name in LAWS:
        chosen_sampler = LawSampler(name, options, study_response, sources=plan.sources, seed=plan.seed)
    else:
        chosen_sampler = OptunaSampler(name, options, space=plan.space, seed=plan.seed)
    step_sweeps = StepSweeps(plan.space, study_response)
    name, options = pruner
    if name == "front":
        return Components(chosen_sampler, step_sweeps, FrontPruner(options, study_response, records), study_response)
    optuna_pruner = OptunaPruner(name, options, plan.rungs, plan.languages)
    return Components(chosen_sampler, step_sweeps, optuna_pruner, study_response)
