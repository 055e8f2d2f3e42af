"""Experiments with a custom objective: import the function and plan the study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.extensions import import_attribute
from ratio_hpo.core.fingerprint import Digests
from ratio_hpo.core.plans import UNPLANNED, StudyMetadata, TrialPlan
from ratio_hpo.core.trial import Params
from ratio_hpo.core.yaml import did_you_mean
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.experiment.load import Loaded, name_study
from ratio_hpo.experiment.search_setup import RunOptions, Say, Search
from ratio_hpo.experiment.study_spec import CustomExperimentSpec
from ratio_hpo.objective import CheckedObjective, Objective
from ratio_hpo.space import Grouped, Simplex, Space, load_space
from ratio_hpo.study import Baseline, StudyPlan


def import_objective(name: str) -> Objective:
    """Import the function that `package.module:function` names, also from the working folder.

    Raises:
        ConfigError: The name is malformed, or it cannot be imported.
    """
    target = import_attribute(name, "objective")
    if not callable(target):
        raise ConfigError(f"objective: {name} is a {type(target).__name__}; it needs to be a function")
    return cast(Objective, target)


@dataclass(frozen=True, slots=True)
class CustomExperiment:
    """Experiment with a custom objective.

    Attributes:
        loaded: The experiment with its settings.
        spec: The experiment's specification.
        objective: Function passed from Python. None: the one that the experiment names.
        space: Space passed from Python. None: the one that the experiment names.
    """

    loaded: Loaded
    spec: CustomExperimentSpec
    objective: Objective | None = None
    space: Space | None = None

    def check(self) -> str:
        self._space()
        return f"with the custom objective {self.spec.objective}"

    def source_names(self) -> tuple[str, ...]:
        return ()

    def needs(self, digests: Digests) -> tuple[str, int]:
        import_objective(self.spec.objective)
        return f"objective {self.spec.objective}: found", 0

    def ready(self, options: RunOptions, say: Say) -> Search:
        function = self.objective or import_objective(self.spec.objective)
        plan = self._plan(options, self._space())
        return Search(
            options=options,
            spec=self.spec,
            plan=plan,
            objective=CheckedObjective(
                function, plan.rungs, plan.languages, plan.largest_cost, self.spec.measure, self.spec.weights
            ),
            plan_trial=self._plan_trial,
            isolated=options.isolated,
        )

    def _space(self) -> Space:
        """Return the space in absolute values; a parameter without a reference value is already absolute."""
        space, values = self.space or load_space(self.spec.space), self.spec.values
        unknown = [key for key in values if key not in space.parameters]
        if unknown:
            hint = did_you_mean(unknown[0], list(space.parameters))
            raise ConfigError(f"values.{unknown[0]}: not a parameter of space {space.name} ({hint})")
        grouped = [key for key, domain in space.parameters.items() if isinstance(domain, Grouped)]
        if grouped:
            raise ConfigError(
                f"{space.source}: parameters.{grouped[0]}: the sources of a custom objective have no known task "
                "or language; use type simplex"
            )
        return space.resolve({key: values.get(key, 1.0) for key in space.parameters})

    def _plan(self, options: RunOptions, space: Space) -> StudyPlan:
        spec, baselines = self.spec, _baselines(self.spec, space)
        if spec.target.score is None and not (baselines and baselines[0].kind.startswith("reference_only")):
            raise ConfigError(
                f"{spec.name}: target: needs `score`, because space {space.name} has no `ratio`, and no `shares` "
                f"with a part {spec.reference}, for a reference-only baseline; set it"
            )
        return StudyPlan(
            name=name_study(spec, space) if options.study is None else options.study,
            basis={
                "objective": spec.objective,
                "custom": spec.identity,
                "reference": spec.reference,
                "measure": spec.measure,
                **({"weights": spec.weights} if spec.weights else {}),
            },
            space=space,
            rungs={stage: tuple(grid) for stage, grid in spec.rungs.items()},
            target=spec.target,
            baselines=baselines,
            largest_cost=spec.largest_cost or float(sum(grid[-1] for grid in spec.rungs.values())),
            languages=tuple(spec.target_languages),
            seed=spec.seed,
            sources=_sources(spec.reference, space),
            about=StudyMetadata(
                experiment=spec.name,
                space=space.name,
                objective=spec.objective,
                weights=spec.weights,
                measure="F1" if spec.measure == "f1" else spec.measure,
                in_process=self.objective is not None or self.space is not None,
            ),
        )

    def _plan_trial(self, params: Params, seed: int) -> TrialPlan:
        """Return the plan of a trial: only the ratio is known, if the shares define it."""
        shares = params.get("shares", {})
        if "ratio" in params or self.spec.reference not in shares:
            return UNPLANNED
        return TrialPlan(ratio=1.0 - shares[self.spec.reference])


def _sources(reference: str, space: Space) -> dict[str, SourceSize]:
    """Return the sources of the mixture; their sizes are unknown and set to 0."""
    shares = space.parameters.get("shares")
    return {
        part: SourceSize(windows=0, questions=0, tokens=0, reference=part == reference)
        for part in (shares.parts if isinstance(shares, Simplex) else ())
    }


def _baselines(experiment: CustomExperimentSpec, space: Space) -> tuple[Baseline, ...]:
    """Return the baselines; other parameters take their reference value, or the middle of their domain."""
    middle = space.decode(dict.fromkeys(space.coordinates(), 0.5))
    rest = {key: experiment.values.get(key, value) for key, value in middle.items() if key not in ("ratio", "shares")}
    shares = space.parameters.get("shares")
    mixtures: dict[str, Params] = {}
    for name in experiment.baselines:
        if name not in ("reference_only", "proportional", "uniform", "non_reference_only"):
            raise ConfigError(f"baselines: {name} is only valid for the built-in objective; remove it")
        if "ratio" in space.parameters and name in ("reference_only", "non_reference_only"):
            mixtures[name] = {"ratio": 0.0 if name == "reference_only" else 1.0}
        elif isinstance(shares, Simplex):
            mixture = _mixture(name, experiment.reference, shares.parts or ())
            if mixture is not None:
                mixtures[name] = {"shares": mixture}
    return tuple(Baseline(kind=name, params={**mixture, **rest}) for name, mixture in mixtures.items())


def _mixture(name: str, reference: str, parts: tuple[str, ...]) -> dict[str, float] | None:
    if name == "uniform":
        return dict.fromkeys(parts, 1.0 / len(parts))
    if reference not in parts or name == "proportional":  # the sizes of the sources are unknown
        return None
    others = len(parts) - 1
    if name == "reference_only":
        return {part: float(part == reference) for part in parts}
    return {part: 0.0 if part == reference else 1.0 / others for part in parts} if others else None
