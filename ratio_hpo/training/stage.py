"""A stage and its identity: a fingerprint of all that shapes its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.mixing import Mixture
from ratio_hpo.training.schedule import LOOKS_AHEAD, decay_start


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a trial.

    Attributes:
        heads: name of each source's head.
        prints: what shapes each head: its task, class and labels.
        data: fingerprint of each source's windows.
        unit: what the requested shares counted; `mixture` is in windows already.
        steps: optimiser updates.
        batch_size: windows of one update.
        parent: what it starts from: the base's fingerprint, or `identity@step` of the stage before.
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
        """Name of the part that does not depend on the number of steps; `wsd` shares it with `constant`."""
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
        """The heads that are trained: those of the sources that can be drawn."""
        return tuple(sorted({head for source, head in self.heads.items() if self._is_drawn(source)}))

    def branch(self) -> str:
        """Name of the decay of a `wsd` stage, which belongs to one number of steps."""
        return fingerprint({"decay": self.steps}, parents=[self.trunk()])

    def identity_at(self, step: int) -> str:
        """The name under which the weights after `step` updates are stored."""
        if self.schedule == "wsd" and step > decay_start(self.steps):
            return self.branch()
        return self.trunk()

    def name_at(self, step: int) -> str:
        """The name of the checkpoint after `step` updates, wherever the store is."""
        return f"{self.identity_at(step)}/{step:08d}"

    def scored(self, *, final: bool) -> frozenset[int]:
        """Steps at which it is evaluated: its rungs, and the end of a trial's last stage, on a rung or not."""
        rungs = {step for step in self.rungs if 0 < step <= self.steps}
        return frozenset(rungs | ({self.steps} if final else set()))

    def stops(self) -> list[int]:
        """Steps at which a checkpoint is worth keeping: rungs, the end, and where a `wsd` decay branches off."""
        stops = {step for step in self.rungs if 0 < step <= self.steps} | {self.steps}
        if self.schedule == "wsd":
            stops.add(decay_start(self.steps))
        return sorted(stop for stop in stops if stop > 0)

    def _is_drawn(self, source: str) -> bool:
        """Whether a source has a share, or can be drawn without one, once others are capped."""
        opens = self.mixture.max_epochs is not None and source in self.mixture.reference
        return self.mixture.shares.get(source, 0.0) > 0.0 or opens

    def _tasks(self) -> Any:
        """What is trained, of what has a share: a task that has none changes no identity."""
        sources = {source: head for source, head in sorted(self.heads.items()) if self._is_drawn(source)}
        return {"heads": {head: self.prints[head] for head in self.trained}, "sources": sources}
