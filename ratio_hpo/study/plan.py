"""What a study is about: the values that a driver hands to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import Params
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetScore:
    """The mean F1 that trials are timed to: given, or a part of the last mean F1 of trial 0.

    Attributes:
        score: in (0, 1]; None: `fraction` decides once trial 0 is done.
    """

    score: float | None = None
    fraction: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A trial that runs first and is never pruned.

    Attributes:
        kind: `reference_only`, `proportional`, `uniform` or `non_reference_only`; merged ones are joined by `+`.
        params: absolute; shares as `shares`.
    """

    kind: str
    params: Params


CONFIRMATION = "+confirm"
"""How the name of a study's confirmation ends, after that of the study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """A trial of another study that is trained again with a seed of its own.

    Attributes:
        of: its number there.
        kind, params: as there; its shares where it has some.
        seed: of its draw, dropout and head.
    """

    of: int
    kind: str
    params: Params
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """A study as its experiment means it.

    Attributes:
        basis: what is trained and scored, by key: the part of the identity that the rest of the plan does not say.
        space: absolute domains.
        rungs: windows of each stage, in the order of the stages, at which trials are compared.
        largest_cost: the most that any trial of the space can cost, in `about`'s unit.
        languages: target languages, the instances of the Wilcoxon pruner.
        seed: of the samplers, and of training where a trial has none of its own.
        looks_ahead: whether a schedule depends on the steps that are still to come.
        sources: of the first stage, for samplers that follow their sizes; without windows where they are not known.
        enqueue: parameters to try right after the baselines; those left out are sampled.
        prune_enqueued: whether the pruner may stop those.
        replicates: in the place of baselines and proposals: all that is to be trained, pruned by nobody.
        about: what is stored for readers; languages, rungs, parameters and largest cost are put in from the plan.
    """

    name: str
    basis: Mapping[str, Any]
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
    def identity(self) -> dict[str, Any]:
        """What must not change under this name, by key."""
        return {
            **self.basis,
            "rungs": {stage: list(grid) for stage, grid in self.rungs.items()},
            "space": self.space.to_json(),
            "target": {"score": self.target.score, "fraction": self.target.fraction},
            "baselines": [[baseline.kind, baseline.params] for baseline in self.baselines],
            "seed": self.seed,
        }
