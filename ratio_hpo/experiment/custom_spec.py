"""Experiment file of a custom objective: a space, rungs and a function, without data and stages."""

from __future__ import annotations

import itertools
from typing import Any

from pydantic import Field, field_validator, model_validator

from ratio_hpo.core.config import Real, Whole
from ratio_hpo.experiment.study_spec import StudySpec, Text

ONLY_STAGE = "target"


class CustomExperimentSpec(StudySpec):
    """Experiment with a custom objective."""

    objective: Text
    """Name of a generator of `Progress`: `package.module:function`."""

    space: Text = "ratio-only"
    """Name or path of the search space."""

    rungs: dict[str, list[Whole]]
    """Windows at which trials are compared: a list by stage in order, or one list for a single stage, `target`."""

    values: dict[str, Any] = Field(default_factory=dict)
    """Reference values of parameters: baselines use them, and factor domains multiply them."""

    target_languages: list[Text] = Field(default_factory=list)
    """Languages that every evaluation must score; empty: the languages of the first evaluation."""

    measure: Text = "f1"
    """Measure behind the primary score if the objective yields no `score/…`: `f1`, `accuracy`, …"""

    weights: dict[Text, Real] = Field(default_factory=dict)
    """Weights of languages in the primary score, `score/mean`; empty: equal weights."""

    largest_cost: Real | None = Field(default=None, gt=0)
    """Largest cost of a trial, at which it ends; none: the sum of the last rungs."""

    identity: dict[str, Any] = Field(default_factory=dict)
    """Other values that identify the study (data, model, version of the code); a change needs a new study."""

    @field_validator("rungs", mode="before")
    @classmethod
    def _one_stage(cls, value: Any) -> Any:
        return {ONLY_STAGE: value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _is_whole(self) -> CustomExperimentSpec:
        for stage, grid in self.rungs.items():
            if not grid or grid[0] < 1 or any(a >= b for a, b in itertools.pairwise(grid)):
                raise ValueError(f"rungs.{stage} needs rising windows from 1 on, but got {grid}; correct them")
        if any(weight < 0 for weight in self.weights.values()) or (self.weights and not any(self.weights.values())):
            raise ValueError(f"weights needs numbers >= 0, at least one above 0, but got {self.weights}; correct them")
        unknown = [language for language in self.weights if language not in (self.target_languages or self.weights)]
        if unknown:
            raise ValueError(f"weights.{unknown[0]} is not in target_languages; add it there, or remove the weight")
        self.check_target()
        return self

    def languages(self) -> list[str]:
        """Return the languages that every evaluation scores."""
        return list(self.target_languages)
