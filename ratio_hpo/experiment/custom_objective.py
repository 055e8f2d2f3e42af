"""Experiments with the user's own objective: the function found, the study planned."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import Digests
from ratio_hpo.core.plans import UNPLANNED, StudyMetadata, TrialPlan
from ratio_hpo.core.trial import Params
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.experiment.custom_spec import CustomExperimentSpec
from ratio_hpo.experiment.load import Loaded, name_study
from ratio_hpo.experiment.search_setup import Say, Search, SearchOptions
from ratio_hpo.objective import CheckedObjective, Objective
from ratio_hpo.space import Grouped, Simplex, Space, load_space
from ratio_hpo.study import Baseline, StudyPlan, TargetScore


def import_objective(name: str) -> Objective:
    """The function that `package.module:function` names; modules in the working folder are found too.

    Raises:
        ConfigError: one line.
    """
    module, colon, function = name.partition(":")
    if not colon or not module or not function:
        raise ConfigError(f"objective: needs package.module:function, but got {name!r}; correct it")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with redirect_stdout(sys.stderr):  # stdout belongs to the data
            found: Any = import_module(module)
    except Exception as error:  # a user's module may raise anything; its reason is what helps
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ConfigError(
            f"objective: {module} cannot be imported ({reason}); run from its folder, or set PYTHONPATH"
        ) from error
    for part in function.split("."):
        if not hasattr(found, part):
            what = did_you_mean(part, [key for key in vars(found) if not key.startswith("_")])
            raise ConfigError(f"objective: {module} has no {part} ({what})")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"objective: {name} is a {type(found).__name__}; it needs to be a function")
    return cast(Objective, found)


@dataclass(frozen=True, slots=True)
class CustomExperiment:
    """An experiment with an objective of the user's own.

    Attributes:
        objective, space: handed over from Python; None: those that the experiment names.
    """

    loaded: Loaded
    spec: CustomExperimentSpec
    objective: Objective | None = None
    space: Space | None = None

    def check(self) -> str:
        self._space()
        return f"with an objective of your own, {self.spec.objective}"

    def source_names(self) -> tuple[str, ...]:
        return ()

    def needs(self, digests: Digests) -> tuple[str, int]:
        import_objective(self.spec.objective)
        return f"objective {self.spec.objective}: found", 0

    def ready(self, options: SearchOptions, say: Say) -> Search:
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
        """The space in absolute values; a parameter without a reference value is absolute as it stands."""
        space, values = self.space or load_space(self.spec.space), self.spec.values
        unknown = [key for key in values if key not in space.parameters]
        if unknown:
            what = did_you_mean(unknown[0], list(space.parameters))
            raise ConfigError(f"values.{unknown[0]}: no parameter of space {space.name} ({what})")
        grouped = [key for key, domain in space.parameters.items() if isinstance(domain, Grouped)]
        if grouped:
            raise ConfigError(
                f"{space.source}: parameters.{grouped[0]}: the sources of an objective of your own have no task "
                "or language that is known here; use type simplex"
            )
        return space.resolve({key: values.get(key, 1.0) for key in space.parameters})

    def _plan(self, options: SearchOptions, space: Space) -> StudyPlan:
        spec, baselines = self.spec, _baselines(self.spec, space)
        if spec.target.score is None and not (baselines and baselines[0].kind.startswith("reference_only")):
            raise ConfigError(
                f"{spec.name}: target: needs `score`, since space {space.name} has no `ratio`, and no `shares` "
                f"with a part {spec.reference}, to measure it at"
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
            target=TargetScore(score=spec.target.score, fraction=spec.target.fraction),
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
        """What parameters come to: the ratio, where shares say it."""
        shares = params.get("shares", {})
        if "ratio" in params or self.spec.reference not in shares:
            return UNPLANNED
        return TrialPlan(ratio=1.0 - shares[self.spec.reference])


def _sources(reference: str, space: Space) -> dict[str, SourceSize]:
    """Sources of the mixture, whose sizes the objective keeps to itself."""
    shares = space.parameters.get("shares")
    return {
        part: SourceSize(windows=0, questions=0, tokens=0, reference=part == reference)
        for part in (shares.parts if isinstance(shares, Simplex) else ())
    }


def _baselines(experiment: CustomExperimentSpec, space: Space) -> tuple[Baseline, ...]:
    """Mixtures at the ends of the space and in its middle; the rest is the reference value, or the domain's middle."""
    middle = space.decode(dict.fromkeys(space.coordinates(), 0.5))
    rest = {key: experiment.values.get(key, value) for key, value in middle.items() if key not in ("ratio", "shares")}
    shares = space.parameters.get("shares")
    found: dict[str, Params] = {}
    for name in experiment.baselines:
        if name not in ("reference_only", "proportional", "uniform", "non_reference_only"):
            raise ConfigError(f"baselines: {name} is of the built-in objective alone; drop it")
        if "ratio" in space.parameters and name in ("reference_only", "non_reference_only"):
            found[name] = {"ratio": 0.0 if name == "reference_only" else 1.0}
        elif isinstance(shares, Simplex):
            mixture = _mixture(name, experiment.reference, shares.parts or ())
            if mixture is not None:
                found[name] = {"shares": mixture}
    return tuple(Baseline(kind=name, params={**mixture, **rest}) for name, mixture in found.items())


def _mixture(name: str, reference: str, parts: tuple[str, ...]) -> dict[str, float] | None:
    if name == "uniform":
        return dict.fromkeys(parts, 1.0 / len(parts))
    if reference not in parts or name == "proportional":  # sizes are the objective's own affair
        return None
    others = len(parts) - 1
    if name == "reference_only":
        return {part: float(part == reference) for part in parts}
    return {part: 0.0 if part == reference else 1.0 / others for part in parts} if others else None
