"""What every experiment file says of its study, whatever it trains."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, Strict, ValidationInfo, field_validator

from ratio_hpo.core.config import Real, Spec, Whole
from ratio_hpo.study.checkpoint_retention import Keep

Text = Annotated[str, Strict()]
MAX_SEED = 2**63 - 1
BaselineName = Annotated[
    str,
    Strict(),
    Field(pattern=r"^(reference_only|proportional|uniform|non_reference_only|none|all_tasks|task:[a-z]+)$"),
]


class TargetScoreSpec(Spec):
    """The primary score that trials are timed to; without `score`, a part of the English-only baseline's last one."""

    score: Real | None = Field(default=None, gt=0, le=1)
    """Primary score, in (0, 1]; none: `fraction` decides."""

    fraction: Real = Field(default=0.95, gt=0)
    """Of the last primary score of trial 0."""


SAMPLER, PRUNER = "mixture", "front"
"""The defaults."""


class NamedSpec(Spec):
    """A sampler or a pruner by name, with its options."""

    name: Text
    """Which one; a mistyped name is told with the nearest known one."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Of `mixture` `warm_start`, another study, and `prior`, values by parameter; of Optuna's its class's arguments."""


class StudySpec(Spec):
    """The study of an experiment."""

    name: Text = Field(min_length=1)
    """What studies and MLflow's experiment are called by: letters, digits, '.', '_', '+' and '-'."""

    description: Text = ""
    """For people."""

    space: Text = "default"
    """Name or path of a space."""

    reference: Text = "en"
    """The language or source whose share is 1 - ratio."""

    seed: Whole = Field(default=0, ge=0, le=MAX_SEED)
    """Of samplers, splits and training."""

    trials: Whole = Field(default=16, ge=1, le=10**7)
    """In the study in all: baselines, pruned and failed ones included."""

    target: TargetScoreSpec = TargetScoreSpec()
    """The primary score whose cost is the second objective."""

    baselines: list[BaselineName] = Field(default=["reference_only", "proportional", "uniform", "non_reference_only"])
    """Mixtures that run first and are never pruned, in this order."""

    enqueue: list[dict[str, Any]] = Field(default_factory=list)
    """Parameters to try right after the baselines, in absolute values; those left out are sampled."""

    prune_enqueued: bool = False
    """Whether the pruner may stop those."""

    sampler: NamedSpec = NamedSpec(name=SAMPLER)
    """What proposes parameters."""

    pruner: NamedSpec = NamedSpec(name=PRUNER)
    """What stops trials that are not worth going on with."""

    keep: Keep = "front"
    """Whose weights are kept: `front`, `best`, `all`, `none`."""

    store_gb: Real | None = Field(default=None, gt=0)
    """Gigabytes of the stage store; none: the larger of 20 and four checkpoints of the base."""

    @field_validator("sampler", "pruner", mode="before")
    @classmethod
    def _chosen_by_name(cls, value: Any, about: ValidationInfo) -> Any:
        """A name alone, or options alone, which are of the default."""
        if isinstance(value, str):
            return {"name": value}
        default = SAMPLER if about.field_name == "sampler" else PRUNER
        return {"name": default, **value} if isinstance(value, dict) else value

    def languages(self) -> list[str]:
        """The languages that trials are scored in; none: what the first evaluation has."""
        return []

    def check_target(self) -> None:
        """Refuse an experiment that nothing sets the target of.

        Raises:
            ValueError: with the remedy.
        """
        if self.target.score is None and self.baselines[:1] != ["reference_only"]:
            raise ValueError(
                "target needs `score`, since `reference_only`, which would set it, is not the first baseline; mend either"
            )
