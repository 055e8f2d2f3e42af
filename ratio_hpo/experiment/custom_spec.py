"""The experiment file of a user's own objective: no data, no stages, only a space, rungs and a function."""

from __future__ import annotations

import itertools
from typing import Any

from pydantic import Field, field_validator, model_validator

from ratio_hpo.core.config import Real, Whole
from ratio_hpo.experiment.study_spec import StudySpec, Text

ONLY_STAGE = "target"


class CustomExperimentSpec(StudySpec):
    """An experiment with the user's own objective."""

    objective: Text
    """`package.module:function`, a generator of `Progress`."""

    space: Text = "ratio-only"
    """Name or path of a space."""

    rungs: dict[str, list[Whole]]
    """Windows at which trials are compared: of each stage in order, or of the only one, `target`."""

    values: dict[str, Any] = Field(default_factory=dict)
    """Reference values of parameters: what baselines take, and what domains of factors multiply."""

    target_languages: list[Text] = Field(default_factory=list)
    """What every evaluation needs a score of; none: what the first one has."""

    measure: Text = "f1"
    """What the primary score is made of where the objective yields no `score/…`: `f1`, `accuracy`, …"""

    weights: dict[Text, Real] = Field(default_factory=dict)
    """Of languages in the mean that trials are compared by, `score/mean`; none: the same for all."""

    largest_cost: Real | None = Field(default=None, gt=0)
    """Most windows that a trial can cost, at which it ends; none: the sum of the last rungs."""

    identity: dict[str, Any] = Field(default_factory=dict)
    """Anything else whose change makes it another study (data, model, version of the code)."""

    @field_validator("rungs", mode="before")
    @classmethod
    def _one_stage(cls, value: Any) -> Any:
        return {ONLY_STAGE: value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _is_whole(self) -> CustomExperimentSpec:
        for stage, grid in self.rungs.items():
            if not grid or grid[0] < 1 or any(a >= b for a, b in itertools.pairwise(grid)):
                raise ValueError(f"rungs.{stage} needs rising windows from 1 on, but got {grid}; sort them")
        if any(weight < 0 for weight in self.weights.values()) or (self.weights and not any(self.weights.values())):
            raise ValueError(f"weights needs numbers from 0 on, one above 0, but got {self.weights}; correct them")
        unknown = [language for language in self.weights if language not in (self.target_languages or self.weights)]
        if unknown:
            raise ValueError(f"weights.{unknown[0]} is none of target_languages; add it there, or drop it")
        self.check_target()
        return self

    def languages(self) -> list[str]:
        """The languages that every evaluation has a score of."""
        return list(self.target_languages)
