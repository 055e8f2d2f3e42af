"""Experiments with the user's own objective: no data, no stages, only a space, rungs and a function."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pydantic import Field, field_validator, model_validator

from ratio_hpo.core.config import Real, Whole, did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Params
from ratio_hpo.experiment.study_spec import StudySpec, Text
from ratio_hpo.objective import Objective
from ratio_hpo.space import Simplex, Space
from ratio_hpo.study import Anchor, StudyPlan, Target

ONLY_STAGE = "target"


class OwnExperimentSpec(StudySpec):
    """An experiment with the user's own objective.

    Attributes:
        objective: `package.module:function`, a generator of `Progress`.
        rungs: windows at which trials are compared: of each stage in order, or of the only one, `target`.
        values: reference values of parameters: what anchors take, and what domains of factors multiply.
        target_languages: what `f1/<lang>` is reported for; may be left out.
        largest_cost: most windows that a trial can cost; the sum of the last rungs by default.
        identity: anything else whose change makes it another study (data, model, version of the code).
    """

    objective: Text
    space: Text = "ratio-only"
    rungs: dict[str, list[Whole]]
    values: dict[str, Any] = Field(default_factory=dict)
    target_languages: list[Text] = Field(default_factory=list)
    largest_cost: Real | None = Field(default=None, gt=0)
    identity: dict[str, Any] = Field(default_factory=dict)

    @field_validator("rungs", mode="before")
    @classmethod
    def _one_stage(cls, value: Any) -> Any:
        return {ONLY_STAGE: value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _is_whole(self) -> OwnExperimentSpec:
        for stage, grid in self.rungs.items():
            if not grid or grid[0] < 1 or any(a >= b for a, b in itertools.pairwise(grid)):
                raise ValueError(f"rungs.{stage} needs rising windows from 1 on, but got {grid}; sort them")
        self.check_target()
        return self


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


def resolve_own(experiment: OwnExperimentSpec, space: Space) -> Space:
    """The space in absolute values; a parameter without a reference value is absolute as it stands."""
    unknown = [key for key in experiment.values if key not in space.parameters]
    if unknown:
        what = did_you_mean(unknown[0], list(space.parameters))
        raise ConfigError(f"values.{unknown[0]}: no parameter of space {space.name} ({what})")
    return space.resolve({key: experiment.values.get(key, 1.0) for key in space.parameters})


def plan_own(experiment: OwnExperimentSpec, space: Space, name: str, seed: int) -> StudyPlan:
    """The study of a user's own objective.

    Raises:
        ConfigError: nothing sets the target.
    """
    anchors = _anchors(experiment, space)
    if experiment.target.f1 is None and not (anchors and anchors[0].kind.startswith("english")):
        raise ConfigError(
            f"{experiment.name}: target: needs `f1`, since space {space.name} has no `ratio`, and no `shares` "
            f"with a part {experiment.reference}, to measure it at"
        )
    return StudyPlan(
        name=name,
        identity={
            "objective": experiment.objective,
            "own": experiment.identity,
            "rungs": experiment.rungs,
            "reference": experiment.reference,
            "space": space.to_json(),
            "target": experiment.target.model_dump(),
            "anchors": experiment.anchors,
            "seed": seed,
        },
        space=space,
        rungs={stage: tuple(grid) for stage, grid in experiment.rungs.items()},
        target=Target(f1=experiment.target.f1, fraction=experiment.target.fraction),
        anchors=anchors,
        largest_cost=experiment.largest_cost or float(sum(grid[-1] for grid in experiment.rungs.values())),
        languages=tuple(experiment.target_languages),
        seed=seed,
        about={"base": None, "objective": experiment.objective},
    )


def plan_trial_of(reference: str) -> Callable[[Params], dict[str, Any]]:
    """What parameters of a user's own objective come to: the ratio, where they say it."""

    def plan(params: Params) -> dict[str, Any]:
        shares = params.get("shares", {})
        if "ratio" in params or reference not in shares:
            return {}
        return {"ratio": 1.0 - shares[reference]}

    return plan


def _anchors(experiment: OwnExperimentSpec, space: Space) -> tuple[Anchor, ...]:
    """Mixtures at the ends of the space and in its middle; the rest is the reference value, or the domain's middle."""
    middle = space.decode(dict.fromkeys(space.coordinates(), 0.5))
    rest = {key: experiment.values.get(key, value) for key, value in middle.items() if key not in ("ratio", "shares")}
    shares = space.parameters.get("shares")
    found: dict[str, Params] = {}
    for name in experiment.anchors:
        if "ratio" in space.parameters and name in ("english", "non_english"):
            found[name] = {"ratio": 0.0 if name == "english" else 1.0}
        elif isinstance(shares, Simplex):
            mixture = _mixture(name, experiment.reference, shares.parts or ())
            if mixture is not None:
                found[name] = {"shares": mixture}
    return tuple(Anchor(kind=name, params={**mixture, **rest}) for name, mixture in found.items())


def _mixture(name: str, reference: str, parts: tuple[str, ...]) -> dict[str, float] | None:
    if name == "uniform":
        return dict.fromkeys(parts, 1.0 / len(parts))
    if reference not in parts or name == "proportional":  # sizes are the objective's own affair
        return None
    others = len(parts) - 1
    if name == "english":
        return {part: float(part == reference) for part in parts}
    return {part: 0.0 if part == reference else 1.0 / others for part in parts} if others else None
