"""What every experiment file says of its study, whatever it trains."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Strict, field_validator

from ratio_hpo.core.config import Real, Spec, Whole
from ratio_hpo.study.keeper import Keep

Text = Annotated[str, Strict()]
LARGEST_SEED = 2**63 - 1
AnchorName = Literal["english", "proportional", "uniform", "non_english"]


class TargetSpec(Spec):
    """The mean F1 that trials are timed to; without `f1`, a part of the English-only anchor's last one."""

    f1: Real | None = Field(default=None, gt=0, le=1)
    fraction: Real = Field(default=0.95, gt=0)


class NamedSpec(Spec):
    """A sampler or a pruner by name, with options of Optuna's class."""

    name: Text
    options: dict[str, Any] = Field(default_factory=dict)


class StudySpec(Spec):
    """The study of an experiment.

    Attributes:
        space: name or path of a space.
        reference: the language or source whose share is 1 - ratio.
        trials: in the study in all, anchors included.
        enqueue: parameters to try right after the anchors, in absolute values; those left out are sampled.
        prune_enqueued: whether the pruner may stop those; None of them, unless this says so.
        keep: whose weights are kept.
    """

    name: Text = Field(min_length=1)
    description: Text = ""
    space: Text = "default"
    reference: Text = "en"
    seed: Whole = Field(default=0, ge=0, le=LARGEST_SEED)
    trials: Whole = Field(default=16, ge=1)
    target: TargetSpec = TargetSpec()
    anchors: list[AnchorName] = Field(default=["english", "proportional", "uniform", "non_english"])
    enqueue: list[dict[str, Any]] = Field(default_factory=list)
    prune_enqueued: bool = False
    sampler: NamedSpec = NamedSpec(name="tpe")
    pruner: NamedSpec = NamedSpec(name="successive_halving")
    keep: Keep = "front"
    store_gb: Real | None = Field(default=None, gt=0)

    @field_validator("sampler", "pruner", mode="before")
    @classmethod
    def _chosen_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    def check_target(self) -> None:
        """Refuse an experiment that nothing sets the target of.

        Raises:
            ValueError: with the remedy.
        """
        if self.target.f1 is None and self.anchors[:1] != ["english"]:
            raise ValueError(
                "target needs `f1`, since `english`, which would set it, is not the first anchor; mend either"
            )
