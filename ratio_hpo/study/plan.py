"""The plan of a study: the values that a driver passes to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field

from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import Params
from ratio_hpo.core.yaml import Real, Spec
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.space import Space


class TargetScore(Spec):
    """Target score of the cost to target; without `score`, a fraction of the reference-only baseline's final score."""

    score: Real | None = Field(default=None, gt=0, le=1)
    """Target score, in (0, 1]; none: `fraction` sets it."""

    fraction: Real = Field(default=0.95, gt=0)
    """Fraction of the final primary score of trial 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A trial that runs first and is never pruned.

    Attributes:
        kind: name of the baseline, such as `reference_only`; names of merged baselines are joined by `+`.
        params: absolute parameters; the mixture is in `shares`.
    """

    kind: str
    params: Params


CONFIRMATION = "+confirm"
"""Suffix that is added to a study's name to name its confirmation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """A trial of another study that is trained again with a separate seed.

    Attributes:
        of: number of the original trial in its study.
        kind, params: kind and parameters of the original trial, including its shares if it has any.
        seed: seed of the data order, dropout and head.
    """

    of: int
    kind: str
    params: Params
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """The complete plan of a study, resolved from its experiment.

    Attributes:
        name: name of the study.
        basis: what is trained and scored, by key: the part of the identity that the other attributes do not cover.
        space: search space with absolute domains.
        rungs: windows of each stage at which trials are compared, in the order of the stages.
        target: target score.
        baselines: baselines, in the order in which they run.
        largest_cost: largest cost of any trial of the space, in the cost unit of `about`.
        languages: target languages, which are the instances of the Wilcoxon pruner.
        seed: seed of the samplers, and training seed of trials without a separate seed.
        about: study metadata for readers; languages, rungs, parameters and largest cost are filled in from the plan.
        looks_ahead: whether a schedule depends on the number of remaining steps.
        sources: sources of the first stage, for samplers that use their sizes; without windows if sizes are unknown.
        enqueue: parameters to try right after the baselines; missing parameters are sampled.
        prune_enqueued: whether the pruner may stop the enqueued trials.
        replicates: trials to train instead of baselines and proposals; they are never pruned.
    """

    name: str
    basis: Mapping[str, object]
    space: Space
    rungs: Mapping[str, tuple[int, ...]]
    target: TargetScore
    baselines: tuple[Baseline, ...]
    largest_cost: float
    languages: tuple[str, ...]
    seed: int
    about: StudyMetadata
    looks_ahead: bool = False
    sources: Mapping[str, SourceSize] = field(default_factory=dict)
    enqueue: tuple[Params, ...] = ()
    prune_enqueued: bool = False
    replicates: tuple[Replicate, ...] = ()

    @property
    def identity(self) -> dict[str, object]:
        """The values that must not change for a study of this name, by key."""
        return {
            **self.basis,
            "rungs": {stage: list(grid) for stage, grid in self.rungs.items()},
            "space": self.space.to_json(),
            "target": self.target.model_dump(),
            "baselines": [[baseline.kind, baseline.params] for baseline in self.baselines],
            "seed": self.seed,
        }
