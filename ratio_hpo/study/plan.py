"""What a study is about: the values that a driver hands to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ratio_hpo.core.trial import Params
from ratio_hpo.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The mean F1 that trials are timed to: given, or a part of the last mean F1 of trial 0.

    Attributes:
        f1: in (0, 1]; None: `fraction` decides once trial 0 is done.
    """

    f1: float | None = None
    fraction: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A trial that runs first and is never pruned.

    Attributes:
        kind: `english`, `proportional`, `uniform` or `non_english`; merged ones are joined by `+`.
        params: absolute; shares as `shares`.
    """

    kind: str
    params: Params


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """A study as its experiment means it.

    Attributes:
        identity: what must not change under this name, by key.
        space: absolute domains.
        rungs: windows of each stage, in the order of the stages, at which trials are compared.
        largest_cost: the most windows that any trial of the space can cost.
        languages: target languages, the instances of the Wilcoxon pruner.
        seed: of the samplers.
        enqueue: parameters to try right after the anchors; those left out are sampled.
        about: other facts to store for reports (experiment, base, reference language, …).
    """

    name: str
    identity: Mapping[str, Any]
    space: Space
    rungs: Mapping[str, tuple[int, ...]]
    target: Target
    anchors: tuple[Anchor, ...]
    largest_cost: float
    languages: tuple[str, ...]
    seed: int
    enqueue: tuple[Params, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
