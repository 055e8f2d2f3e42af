"""Learning-rate schedules as functions of position."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.mixing import Mixture

WSD_DECAY = 0.3
"""Fraction of a `wsd` stage that decays (warm-up, stable, decay: Hu et al. 2024, arXiv 2404.06395)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A position in a schedule: `step` of `steps`, of which `warmup` are warm-up."""

    step: int
    steps: int
    warmup: int


def decay_start(steps: int) -> int:
    """Return the first step of the decay of a `wsd` stage."""
    return steps - round(steps * WSD_DECAY)


def _constant(span: Span) -> float:
    return 1.0


def _wsd(span: Span) -> float:
    start = decay_start(span.steps)
    return 1.0 if span.step < start else (span.steps - span.step) / (span.steps - start + 1)


def _linear(span: Span) -> float:
    return (span.steps - span.step) / max(span.steps - span.warmup, 1)


def _cosine(span: Span) -> float:
    return 0.5 * (1 + math.cos(math.pi * (span.step - span.warmup) / max(span.steps - span.warmup, 1)))


SCHEDULES: dict[str, Callable[[Span], float]] = {
    "constant": _constant,
    "wsd": _wsd,
    "linear": _linear,
    "cosine": _cosine,
}

LOOKS_AHEAD = frozenset({"linear", "cosine"})
"""Schedules in which every learning rate depends on the total number of steps."""


def factor(schedule: str, step: int, *, steps: int, warmup: int) -> float:
    """Return the factor of the learning rate at update `step` (from 0), in [0, 1]."""
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[schedule](Span(step=step, steps=steps, warmup=warmup))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a trial.

    Attributes:
        heads: name of the head of each source.
        prints: identity of each head: its task, class and labels.
        mixture: share of each source, in windows.
        data: fingerprint of the windows of each source.
        unit: unit of the requested shares; `mixture` is already converted to windows.
        steps: number of optimiser updates.
        batch_size: number of windows per update.
        parent: initial weights: the base's fingerprint, or `identity@step` of the preceding stage.
        rungs: steps at which trials are evaluated.
    """

    name: str
    heads: Mapping[str, str]
    prints: Mapping[str, Any]
    mixture: Mixture
    data: Mapping[str, str]
    unit: str
    steps: int
    batch_size: int
    learning_rate: float
    schedule: str
    warmup: int
    weight_decay: float
    clip: float
    seed: int
    precision: str
    parent: str
    rungs: tuple[int, ...] = field(default=())

    def trunk(self) -> str:
        """Return the identity of the part independent of the number of steps; `wsd` shares it with `constant`."""
        content = {
            "task": self._tasks(),
            "mixture": self.mixture.identity(),
            "data": {k: v for k, v in self.data.items() if self._is_drawn(k)},
            "unit": self.unit,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "schedule": [self.schedule, self.steps] if self.schedule in LOOKS_AHEAD else "constant",
            "warmup": self.warmup,
            "weight_decay": self.weight_decay,
            "clip": self.clip,
            "seed": self.seed,
            "precision": self.precision,
        }
        return fingerprint(content, parents=[self.parent])

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the trained heads: the heads of sources that can be drawn."""
        return tuple(sorted({head for source, head in self.heads.items() if self._is_drawn(source)}))

    def branch(self) -> str:
        """Return the identity of the decay of a `wsd` stage, which depends on the number of steps."""
        return fingerprint({"decay": self.steps}, parents=[self.trunk()])

    def identity_at(self, step: int) -> str:
        """Return the identity under which the weights after `step` updates are stored."""
        if self.schedule == "wsd" and step > decay_start(self.steps):
            return self.branch()
        return self.trunk()

    def name_at(self, step: int) -> str:
        """Return the name of the checkpoint after `step` updates, relative to the store."""
        return f"{self.identity_at(step)}/{step:08d}"

    def scored(self, *, final: bool) -> frozenset[int]:
        """Return the steps at which the stage is evaluated: its rungs, and its end if `final`."""
        rungs = {step for step in self.rungs if 0 < step <= self.steps}
        return frozenset(rungs | ({self.steps} if final else set()))

    def stops(self) -> list[int]:
        """Return the steps at which a checkpoint is stored: rungs, the end, and the start of a `wsd` decay."""
        stops = {step for step in self.rungs if 0 < step <= self.steps} | {self.steps}
        if self.schedule == "wsd":
            stops.add(decay_start(self.steps))
        return sorted(stop for stop in stops if stop > 0)

    def _is_drawn(self, source: str) -> bool:
        """Return whether a source has a share, or can be drawn once capped sources give up their share."""
        is_fallback = self.mixture.max_epochs is not None and source in self.mixture.reference
        return self.mixture.shares.get(source, 0.0) > 0.0 or is_fallback

    def _tasks(self) -> Any:
        """Return the identity of trained heads and sources; a task without a share does not affect it."""
        sources = {source: head for source, head in sorted(self.heads.items()) if self._is_drawn(source)}
        return {"heads": {head: self.prints[head] for head in self.trained}, "sources": sources}
