"""An encoder of transformers with its heads, on a device: one update, and the outputs of windows.

Every random draw is a function of position: which windows a step takes, what is masked in them, and the seed of their
dropout. A batch is grouped by task, and within a task sorted by length, so that micro-batches carry little padding;
the gradient is the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from ratio_hpo.core.errors import BatchTooLarge, Diverged
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.data.tasks import Batch, Drawn, Head, Task, Vocabulary
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.training.base_model import Base
from ratio_hpo.training.device import default_device, provenance, resolve_eval_batch, resolve_precision
from ratio_hpo.training.heads import SharedEncoder, load_heads
from ratio_hpo.training.schedule import factor
from ratio_hpo.training.spec import EngineSpec
from ratio_hpo.training.stage import Stage


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """A source as the engine trains it: its windows, and the task and head that they are of."""

    windows: WindowSet
    task: Task
    head: str


@dataclass(frozen=True, slots=True)
class EvalSet:
    """A window set to be scored; a task without a head is scored on the encoder."""

    windows: WindowSet
    task: Task
    head: str | None


@dataclass(slots=True)
class StageMetrics:
    """Running totals of a stage.

    Attributes:
        loss, updates: sum and number of the losses since the last evaluation.
        by_head: numerator and denominator of what each head's training tells since then, as `loss/<head>`.
        measures: of the last place where it was stored or evaluated.
    """

    seconds: float = 0.0
    tokens: int = 0
    loss: float = 0.0
    updates: int = 0
    by_head: dict[str, list[float]] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    inexact: bool = False


class Engine:
    """A model on a device; reused from trial to trial.

    Args:
        heads: all that a trial of the study may train or score.
        seed: of the heads, where the base has none; `reset` may give another.

    Raises:
        ResumeError: the base is no longer what its identity names.
    """

    precision: str
    settings: EngineSpec
    accelerator: Any
    model: SharedEncoder
    num_parameters: int

    def __init__(
        self,
        base: Base,
        heads: Sequence[Head],
        settings: EngineSpec,
        *,
        vocabulary: Vocabulary,
        seed: int,
        device: str | None = None,
    ) -> None:
        device = device or default_device()
        self.precision = resolve_precision(settings.precision, device)
        self.settings, self._heads = settings, tuple(heads)
        self.micro_batch = settings.micro_batch
        self._most_scored = self._eval_batch = resolve_eval_batch(settings.eval_batch, device)
        self._vocabulary = vocabulary
        self.accelerator = Accelerator(mixed_precision=self.precision.replace("fp32", "no"), cpu=device == "cpu")
        self._base, self._seed = base, seed
        self.model = load_heads(base, self._heads, seed).to(self.accelerator.device)
        self._fresh = _copied(self.model)
        counted = self.model if len(self._heads) == 1 else self.model.encoder
        self.num_parameters = sum(parameter.numel() for parameter in counted.parameters())

    def reset(self, seed: int | None = None) -> None:
        """Put the base's weights back, with the heads of a seed; None: of the last one."""
        if seed is not None and seed != self._seed:
            self._fresh = _copied(load_heads(self._base, self._heads, seed))
            self._seed = seed
        self.restore(self._fresh)

    def shrink(self, halvings: int, batch_size: int) -> None:
        """Begin with micro-batches of a batch that are halved so often, and with smaller ones to score."""
        whole = min(self.settings.micro_batch or batch_size, batch_size)
        self.micro_batch = max(whole >> halvings, 1)
        self._eval_batch = max(self._most_scored >> halvings, 1)

    def copy(self) -> dict[str, torch.Tensor]:
        """The weights as they are, to be restored."""
        return _copied(self.model)

    def restore(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Put weights back that `copy` gave."""
        with torch.no_grad():
            for name, tensor in self.model.tensors().items():
                tensor.copy_(weights[name])

    def provenance(self) -> dict[str, Any]:
        """What may change the last bits of a result."""
        return {**provenance(self.accelerator.device), "micro_batch": self.micro_batch}

    def infer(self, sets: Sequence[EvalSet]) -> list[dict[int, Any]]:
        """What was reduced of every window of every set, by index; windows of like length share a batch."""
        self.model.eval()
        results: list[dict[int, Any]] = [{} for _ in sets]
        for group in _grouped(sets):
            every = [(k, i) for k in group for i in range(len(sets[k].windows))]
            every.sort(key=lambda place: sets[place[0]].windows.longest(place[1]))
            begin = 0
            while begin < len(every):
                chosen = every[begin : begin + self._eval_batch]
                try:
                    outputs = self.forward([(sets[k], i) for k, i in chosen])
                except MEMORY_ERRORS as error:
                    if self._eval_batch == 1 or not is_out_of_memory(error):
                        raise
                    self._eval_batch //= 2
                    continue
                for row, (k, i) in enumerate(chosen):
                    results[k][i] = {name: values[row] for name, values in outputs.items()}
                begin += len(chosen)
        return results

    def forward(self, chosen: list[tuple[EvalSet, int]]) -> dict[str, Any]:
        """What was reduced of windows of one task."""
        task, head = chosen[0][0].task, chosen[0][0].head
        batch = self._batch(task, [Drawn(one.windows, index) for one, index in chosen])
        with torch.inference_mode(), self.accelerator.autocast():
            outputs = self.model(head, **task.inputs(batch))
            reduced = task.reduce(outputs, batch)
        return {name: value.cpu().numpy() for name, value in reduced.items()}

    def step(
        self,
        stage: Stage,
        step: int,
        stream: MixtureStream,
        sources: Mapping[str, TrainingSource],
        optimizer: torch.optim.Optimizer,
        tally: StageMetrics,
    ) -> float:
        """One update; halves the micro-batch and repeats it where memory runs out."""
        first = step * stage.batch_size
        drawn = stream.take(first, first + stage.batch_size)
        names = [stream.sources[k] for k in drawn[0]]
        batch = [
            (sources[name], Drawn(sources[name].windows, int(index), (stage.seed, name, first + k)))
            for k, (name, index) in enumerate(zip(names, drawn[1], strict=True))
        ]
        self.model.train()
        while True:
            torch.manual_seed(integer_hash("step", stage.seed, stage.name, step))
            optimizer.zero_grad(set_to_none=True)
            try:
                losses = [self._backward(part, len(batch)) for part in self._micro_batches(batch)]
                break
            except MEMORY_ERRORS as error:
                size = min(self.micro_batch or len(batch), len(batch))
                if size == 1 or not is_out_of_memory(error):
                    raise
                self.micro_batch = (size + 1) // 2
        loss = sum(told["loss"][0] for _, told in losses) / len(batch)
        if not np.isfinite(loss):
            raise Diverged(stage.name, step, {"learning_rate": stage.learning_rate, "batch_size": stage.batch_size})
        for head, told in losses:
            for measure, (part, count) in told.items():
                total = tally.by_head.setdefault(f"{measure}/{head}", [0.0, 0.0])
                total[0] += part
                total[1] += count
        self.accelerator.clip_grad_norm_(self._trained_by(optimizer), stage.clip)
        scale = factor(stage.schedule, step, steps=stage.steps, warmup=stage.warmup)
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * scale
        optimizer.step()
        tally.tokens += sum(drawn.windows.length(drawn.index) for _, drawn in batch)
        return float(loss)

    def _micro_batches(self, batch: list[tuple[TrainingSource, Drawn]]) -> list[list[tuple[TrainingSource, Drawn]]]:
        """The batch in parts of one task each, of windows of like length."""
        size = min(self.micro_batch or len(batch), len(batch))
        groups: dict[tuple[str, str], list[tuple[TrainingSource, Drawn]]] = {}
        for source, drawn in batch:
            groups.setdefault((source.head, source.task.name), []).append((source, drawn))
        parts = []
        for _, group in sorted(groups.items()):
            whole = len(group) if group[0][0].task.in_batch else size
            if whole < len(group):
                group.sort(key=lambda pair: -pair[1].windows.longest(pair[1].index))
            parts += [group[k : k + whole] for k in range(0, len(group), whole)]
        return parts

    def _backward(
        self, chosen: list[tuple[TrainingSource, Drawn]], whole: int
    ) -> tuple[str, dict[str, tuple[float, float]]]:
        """Add the gradient of a micro-batch, as part of the whole batch; its head, and numerators and denominators of
        its loss and of what else its task tells."""
        task, head = chosen[0][0].task, chosen[0][0].head
        batch = self._batch(task, [drawn for _, drawn in chosen])
        try:
            with self.accelerator.autocast():
                outputs = self.model(head, **task.inputs(batch))
            total = task.loss(outputs, batch).sum()
            self.accelerator.backward(total / whole)
        except MEMORY_ERRORS as error:
            if task.in_batch and is_out_of_memory(error):  # a smaller micro-batch would not make it smaller
                raise BatchTooLarge(task.name, len(chosen)) from error
            raise
        return head, {"loss": (total.item(), float(len(chosen))), **task.watch(outputs, batch)}

    def _batch(self, task: Task, chosen: Sequence[Drawn]) -> Batch:
        batch = task.collate(chosen, self._vocabulary)
        return {key: value.to(self.accelerator.device, non_blocking=True) for key, value in batch.items()}

    def optimizer(self, stage: Stage) -> torch.optim.Optimizer:
        """AdamW over the encoder and the heads that are trained; biases and norms are not decayed."""
        parameters = list(self.model.names(stage.trained).values())
        decayed = [p for p in parameters if p.ndim > 1]
        others = [p for p in parameters if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": stage.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=stage.learning_rate, fused=self.accelerator.device.type == "cuda")

    def _trained_by(self, optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
        """Its parameters, in the model's order: what a stage before has left on other heads is not of this one."""
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        return [parameter for parameter in self.model.parameters() if id(parameter) in own]


MEMORY_ERRORS = (RuntimeError, MemoryError)
"""What is raised where memory runs out: of a GPU by torch, of the host by torch or NumPy, each in its own way."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)  # torch's allocator of the host


def _grouped(sets: Sequence[EvalSet]) -> list[list[int]]:
    """The sets of each task and head, which may share batches."""
    groups: dict[tuple[int, str | None], list[int]] = {}
    for k, one in enumerate(sets):
        groups.setdefault((id(one.task), one.head), []).append(k)
    return list(groups.values())


def _copied(model: SharedEncoder) -> dict[str, torch.Tensor]:
    """The weights of a model, apart from it."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.tensors().items()}
