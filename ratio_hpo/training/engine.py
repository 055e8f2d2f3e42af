"""An encoder of transformers with a task's head on it, on a device: one update, and the outputs of windows.

Every random draw is a function of position: which windows a step takes, and the seed of its dropout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from ratio_hpo.core.errors import Diverged
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.data.tasks import Batch, Task
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.training.base import Base
from ratio_hpo.training.device import default_device, provenance, resolve_precision
from ratio_hpo.training.model import load_model
from ratio_hpo.training.schedule import factor
from ratio_hpo.training.spec import EngineSpec
from ratio_hpo.training.stage import Stage


@dataclass(slots=True)
class Tally:
    """Running totals of a stage.

    Attributes:
        loss, updates: sum and number of the losses since the last evaluation.
        measures: of the last place where it was stored or evaluated.
    """

    seconds: float = 0.0
    tokens: int = 0
    loss: float = 0.0
    updates: int = 0
    measures: dict[str, float] = field(default_factory=dict)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    inexact: bool = False


class Engine:
    """A model on a device; reused from trial to trial.

    Args:
        pad: id of the padding token.
        token_types: whether the model takes segment ids.
        seed: of the head, where the base has none; `reset` may give another.

    Raises:
        ResumeError: the base is no longer what its identity names.
    """

    precision: str
    task: Task
    settings: EngineSpec
    accelerator: Any
    model: Any
    num_parameters: int

    def __init__(
        self,
        base: Base,
        task: Task,
        settings: EngineSpec,
        *,
        pad: int,
        token_types: bool,
        seed: int,
        device: str | None = None,
    ) -> None:
        device = device or default_device()
        self.precision = resolve_precision(settings.precision, device)
        self.task, self.settings = task, settings
        self.micro_batch, self._eval_batch = settings.micro_batch, settings.eval_batch
        self._pad, self._token_types = pad, token_types
        self.accelerator = Accelerator(mixed_precision=self.precision.replace("fp32", "no"), cpu=device == "cpu")
        self._base, self._seed = base, seed
        self.model = load_model(base, task.auto_class, seed).to(self.accelerator.device)
        self._fresh = _copied(self.model)
        self.num_parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def reset(self, seed: int | None = None) -> None:
        """Put the base's weights back, with the head of a seed; None: of the last one."""
        if seed is not None and seed != self._seed:
            self._fresh = _copied(load_model(self._base, self.task.auto_class, seed))
            self._seed = seed
        self.model.load_state_dict(self._fresh)

    def provenance(self) -> dict[str, Any]:
        """What may change the last bits of a result."""
        return {**provenance(self.accelerator.device), "micro_batch": self.micro_batch}

    def infer(self, sets: Sequence[WindowSet]) -> list[dict[int, Any]]:
        """Outputs for every window of every set, by index; windows of like length share a batch."""
        self.model.eval()
        every = [(k, i) for k, windows in enumerate(sets) for i in range(len(windows))]
        every.sort(key=lambda place: sets[place[0]].length(place[1]))
        results: list[dict[int, Any]] = [{} for _ in sets]
        begin = 0
        while begin < len(every):
            chosen = every[begin : begin + self._eval_batch]
            try:
                outputs = self.forward([(sets[k], i) for k, i in chosen])
            except torch.OutOfMemoryError:
                if self._eval_batch == 1:
                    raise
                self._eval_batch //= 2
                continue
            for row, (k, i) in enumerate(chosen):
                results[k][i] = self.task.trim(outputs, row, sets[k].length(i))
            begin += len(chosen)
        return results

    def forward(self, chosen: list[tuple[WindowSet, int]]) -> dict[str, Any]:
        batch = self._batch(chosen)
        with torch.inference_mode(), self.accelerator.autocast():
            outputs = self.model(**self.task.inputs(batch))
        return {key: value.float().cpu().numpy() for key, value in outputs.items() if torch.is_tensor(value)}

    def step(
        self,
        stage: Stage,
        step: int,
        stream: MixtureStream,
        sources: Mapping[str, WindowSet],
        optimizer: torch.optim.Optimizer,
        tally: Tally,
    ) -> float:
        """One update; halves the micro-batch and repeats it where memory runs out."""
        drawn = stream.take(step * stage.batch_size, (step + 1) * stage.batch_size)
        chosen = [(sources[stream.sources[k]], int(i)) for k, i in zip(*drawn, strict=True)]
        self.model.train()
        while True:
            size = min(self.micro_batch or len(chosen), len(chosen))
            torch.manual_seed(integer_hash("step", stage.seed, stage.name, step))
            optimizer.zero_grad(set_to_none=True)
            try:
                loss = sum(self._backward(chosen[k : k + size], len(chosen)) for k in range(0, len(chosen), size))
                break
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self.micro_batch = (size + 1) // 2
        if not np.isfinite(loss):
            raise Diverged(stage.name, step, {"learning_rate": stage.learning_rate, "batch_size": stage.batch_size})
        self.accelerator.clip_grad_norm_(self.model.parameters(), stage.clip)
        scale = factor(stage.schedule, step, steps=stage.steps, warmup=stage.warmup)
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * scale
        optimizer.step()
        tally.tokens += sum(windows.length(index) for windows, index in chosen)
        return float(loss)

    def _backward(self, chosen: list[tuple[WindowSet, int]], whole: int) -> float:
        """Add the gradient of a micro-batch; its loss is weighted as part of the whole batch."""
        batch = self._batch(chosen)
        with self.accelerator.autocast():
            outputs = self.model(**self.task.inputs(batch))
        loss = self.task.loss(outputs, batch).sum() / whole
        self.accelerator.backward(loss)
        return loss.item()

    def _batch(self, chosen: list[tuple[WindowSet, int]]) -> Batch:
        batch = self.task.collate(chosen, self._pad, self._token_types)
        return {key: value.to(self.accelerator.device, non_blocking=True) for key, value in batch.items()}

    def optimizer(self, stage: Stage) -> torch.optim.Optimizer:
        """AdamW; biases and norms are not decayed."""
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": stage.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=stage.learning_rate, fused=self.accelerator.device.type == "cuda")


def _copied(model: Any) -> dict[str, torch.Tensor]:
    """The weights of a model, apart from it."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
