"""Study part of every experiment file."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

from pydantic import Field, Strict, ValidationInfo, field_validator, model_validator

from ratio_hpo.core.yaml import Real, Spec, Whole
from ratio_hpo.study.checkpoint_retention import Keep
from ratio_hpo.study.plan import TargetScore

Text = Annotated[str, Strict()]
MAX_SEED = 2**63 - 1
BaselineName = Annotated[
    str,
    Strict(),
    Field(pattern=r"^(reference_only|proportional|uniform|non_reference_only|none|all_tasks|task:[A-Za-z0-9_.:-]+)$"),
]


SAMPLER, PRUNER = "mixture", "front"
"""Default sampler and pruner."""


class NamedSpec(Spec):
    """Sampler or pruner by name, with its options."""

    name: Text
    """Name of the sampler or pruner."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Options: for `mixture`, `warm_start` (a study) and `prior` (values by parameter); for Optuna's, arguments."""


class StudySpec(Spec):
    """Study of an experiment."""

    name: Text = Field(min_length=1)
    """Name of the experiment, also in MLflow: letters, digits, '.', '_', '+' and '-'."""

    description: Text = ""
    """Description for readers."""

    space: Text = "default"
    """Name or path of the search space."""

    reference: Text = "en"
    """Reference language or source, whose share is 1 - ratio."""

    seed: Whole = Field(default=0, ge=0, le=MAX_SEED)
    """Seed of samplers, splits and training."""

    trials: Whole = Field(default=16, ge=1, le=10**7)
    """Total number of trials of the study, including baselines, pruned and failed trials."""

    target: TargetScore = TargetScore()
    """Target score, whose cost is the second objective."""

    baselines: list[BaselineName] = Field(default=["reference_only", "proportional", "uniform", "non_reference_only"])
    """Baselines that run first, in this order, and are never pruned."""

    enqueue: list[dict[str, Any]] = Field(default_factory=list)
    """Parameters of trials that run after the baselines, in absolute values; missing parameters are sampled."""

    prune_enqueued: bool = False
    """Whether the pruner may stop enqueued trials."""

    sampler: NamedSpec = NamedSpec(name=SAMPLER)
    """Sampler, which proposes parameters."""

    pruner: NamedSpec = NamedSpec(name=PRUNER)
    """Pruner, which stops unpromising trials."""

    keep: Keep = "front"
    """Trials whose weights are kept: `front`, `best`, `all`, `none`."""

    store_gb: Real | None = Field(default=None, gt=0)
    """Size limit of the stage store, in GB; none: 20 GB or four checkpoints of the base, whichever is larger."""

    @field_validator("sampler", "pruner", mode="before")
    @classmethod
    def _chosen_by_name(cls, value: Any, info: ValidationInfo) -> Any:
        """Accept a name alone, or options alone for the default sampler or pruner."""
        if isinstance(value, str):
            return {"name": value}
        default = SAMPLER if info.field_name == "sampler" else PRUNER
        return {"name": default, **value} if isinstance(value, dict) else value

    def languages(self) -> list[str]:
        """Return the languages that trials are scored on; empty: the languages of the first evaluation."""
        return []

    def check_target(self) -> None:
        """Check that the target score is given or that the first baseline sets it.

        Raises:
            ValueError: Neither is the case.
        """
        if self.target.score is None and self.baselines[:1] != ["reference_only"]:
            raise ValueError(
                "target needs `score`, because the first baseline is not `reference_only`, which sets it; change either"
            )


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
