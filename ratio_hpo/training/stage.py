"""Learning-rate schedules as functions of position."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.mixing import Mixture

WSD_DECAY = 0.3
"""Fraction of a `wsd` stage that decays (warm-up, stable, decay: Hu et al. 2024, arXiv 2404.06395)."""


def decay_start(steps: int) -> int:
    """Return the first step of the decay of a `wsd` stage."""
    return steps - round(steps * WSD_DECAY)


LOOKS_AHEAD = frozenset({"linear", "cosine"})
"""Schedules in which every learning rate depends on the total number of steps."""


def factor(schedule: str, step: int, *, steps: int, warmup: int) -> float:
    """Return the factor of the learning rate at update `step` (from 0), in [0, 1]."""
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "wsd":
        start = decay_start(steps)
        return 1.0 if step < start else (steps - step) / (steps - start + 1)
    if schedule == "linear":
        return (steps - step) / max(steps - warmup, 1)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
    return 1.0


_IDENTITY = ("unit", "batch_size", "learning_rate", "warmup", "weight_decay", "clip", "seed", "precision")
"""Fields of a stage that its identity holds as they are."""


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
    prints: Mapping[str, list[object]]
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
        """Return the identity of the part independent of the number of steps; `wsd` shares it with `constant`.

        A source or a task without a share does not affect it.
        """
        sources = {source: head for source, head in sorted(self.heads.items()) if self._is_drawn(source)}
        content = {
            "task": {"heads": {head: self.prints[head] for head in self.trained}, "sources": sources},
            "mixture": self.mixture.identity(),
            "data": {source: digest for source, digest in self.data.items() if self._is_drawn(source)},
            "schedule": [self.schedule, self.steps] if self.schedule in LOOKS_AHEAD else "constant",
            **{key: getattr(self, key) for key in _IDENTITY},
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
