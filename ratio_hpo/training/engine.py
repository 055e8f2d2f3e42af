"""The engine: a transformers encoder with heads on a device, which runs single updates and inference.

Every random draw is a function of position: the windows of a step, the masked tokens in them, and the dropout seed.
A batch is grouped by task and sorted by length within a task, so that micro-batches contain little padding; the
gradient is the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from ratio_hpo.core.errors import BatchTooLarge, Diverged
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.data.tasks import Batch, Drawn, Head, Task, Vocabulary
from ratio_hpo.training.base_model import Base
from ratio_hpo.training.checkpoint import StageMetrics
from ratio_hpo.training.device import Provenance, default_device, provenance, resolve_eval_batch, resolve_precision
from ratio_hpo.training.evaluation import TaskWindows
from ratio_hpo.training.heads import SharedEncoder, load_heads
from ratio_hpo.training.spec import EngineSpec
from ratio_hpo.training.stage import Stage, factor


class Engine:
    """A model on a device, reused by successive trials.

    Args:
        base: base model.
        heads: all heads that a trial of the study may train or score.
        settings: precision and batch sizes of the engine.
        vocabulary: special tokens of the tokenizer.
        seed: seed of new heads; `reset` can set another one.
        device: `cpu` or `cuda`; None: `cuda` if available.

    Raises:
        ResumeError: the base no longer matches its identity.
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
        self._max_eval_batch = self._eval_batch = resolve_eval_batch(settings.eval_batch, device)
        self._vocabulary = vocabulary
        self.accelerator = Accelerator(mixed_precision=self.precision.replace("fp32", "no"), cpu=device == "cpu")
        self._base, self._seed = base, seed
        self.model = load_heads(base, self._heads, seed).to(self.accelerator.device)
        self._fresh = _copied(self.model)
        counted = self.model if len(self._heads) == 1 else self.model.encoder
        self.num_parameters = sum(parameter.numel() for parameter in counted.parameters())

    def reset(self, seed: int | None = None) -> None:
        """Restore the base's weights, with heads drawn from a seed; None: from the last seed."""
        if seed is not None and seed != self._seed:
            self._fresh = _copied(load_heads(self._base, self._heads, seed))
            self._seed = seed
        self.restore(self._fresh)

    def shrink(self, halvings: int, batch_size: int) -> None:
        """Start with micro-batches and evaluation batches that are halved this many times."""
        largest = min(self.settings.micro_batch or batch_size, batch_size)
        self.micro_batch = max(largest >> halvings, 1)
        self._eval_batch = max(self._max_eval_batch >> halvings, 1)

    def copy(self) -> dict[str, torch.Tensor]:
        """Return a copy of the current weights."""
        return _copied(self.model)

    def restore(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Restore weights that `copy` returned."""
        with torch.no_grad():
            for name, tensor in self.model.tensors().items():
                tensor.copy_(weights[name])

    def provenance(self) -> Provenance:
        """Return everything that may change the last bits of a result."""
        return {**provenance(self.accelerator.device), "micro_batch": self.micro_batch}

    def infer(self, sets: Sequence[TaskWindows]) -> list[dict[int, Any]]:
        """Return the reduced outputs of each set by window index; batches hold windows of similar length."""
        self.model.eval()
        results: list[dict[int, Any]] = [{} for _ in sets]
        for group in _grouped(sets):
            windows = [(k, i) for k in group for i in range(len(sets[k].windows))]
            windows.sort(key=lambda pair: sets[pair[0]].windows.longest(pair[1]))
            begin = 0
            while begin < len(windows):
                chosen = windows[begin : begin + self._eval_batch]
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

    def forward(self, chosen: list[tuple[TaskWindows, int]]) -> dict[str, NDArray[Any]]:
        """Return the reduced outputs of windows of one task and head."""
        task, head = chosen[0][0].task, chosen[0][0].head
        batch = self._batch(task, [Drawn(eval_set.windows, index) for eval_set, index in chosen])
        with torch.inference_mode(), self.accelerator.autocast():
            outputs = self.model(head, **task.inputs(batch))
            reduced = task.reduce(outputs, batch)
        return {name: value.cpu().numpy() for name, value in reduced.items()}

    def step(
        self,
        stage: Stage,
        step: int,
        stream: MixtureStream,
        sources: Mapping[str, TaskWindows],
        optimizer: torch.optim.Optimizer,
        tally: StageMetrics,
    ) -> float:
        """Run one update and return its loss; if memory runs out, halve the micro-batch and repeat the update."""
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
        loss = sum(measures["loss"][0] for _, measures in losses) / len(batch)
        if not np.isfinite(loss):
            raise Diverged(stage.name, step, {"learning_rate": stage.learning_rate, "batch_size": stage.batch_size})
        for head, measures in losses:
            for measure, (numerator, count) in measures.items():
                total = tally.by_head.setdefault(f"{measure}/{head}", [0.0, 0.0])
                total[0] += numerator
                total[1] += count
        self.accelerator.clip_grad_norm_(self._parameters_of(optimizer), stage.clip)
        scale = factor(stage.schedule, step, steps=stage.steps, warmup=stage.warmup)
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * scale
        optimizer.step()
        tally.tokens += sum(drawn.windows.length(drawn.index) for _, drawn in batch)
        return float(loss)

    def _micro_batches(self, batch: list[tuple[TaskWindows, Drawn]]) -> list[list[tuple[TaskWindows, Drawn]]]:
        """Split a batch into parts of one head and task each, with windows of similar length."""
        size = min(self.micro_batch or len(batch), len(batch))
        groups: dict[tuple[str, str], list[tuple[TaskWindows, Drawn]]] = {}
        for source, drawn in batch:
            groups.setdefault((source.head or "", source.task.name), []).append((source, drawn))
        parts = []
        for _, group in sorted(groups.items()):
            part_size = len(group) if group[0][0].task.in_batch else size
            if part_size < len(group):
                group.sort(key=lambda pair: -pair[1].windows.longest(pair[1].index))
            parts += [group[k : k + part_size] for k in range(0, len(group), part_size)]
        return parts

    def _backward(
        self, chosen: list[tuple[TaskWindows, Drawn]], batch_size: int
    ) -> tuple[str | None, dict[str, tuple[float, float]]]:
        """Add the gradient of a micro-batch, scaled to the whole batch; return its head, and the numerator and
        denominator of its loss and of other measures of its task."""
        task, head = chosen[0][0].task, chosen[0][0].head
        batch = self._batch(task, [drawn for _, drawn in chosen])
        try:
            with self.accelerator.autocast():
                outputs = self.model(head, **task.inputs(batch))
            total = task.loss(outputs, batch).sum()
            self.accelerator.backward(total / batch_size)
        except MEMORY_ERRORS as error:
            if task.in_batch and is_out_of_memory(error):  # the batch of such a task cannot be split
                raise BatchTooLarge(task.name, len(chosen)) from error
            raise
        return head, {"loss": (total.item(), float(len(chosen))), **task.watch(outputs, batch)}

    def _batch(self, task: Task, chosen: Sequence[Drawn]) -> Batch:
        batch = task.collate(chosen, self._vocabulary)
        return {key: value.to(self.accelerator.device, non_blocking=True) for key, value in batch.items()}

    def optimizer(self, stage: Stage) -> torch.optim.Optimizer:
        """Return AdamW over the encoder and the trained heads, without weight decay on biases and norms."""
        parameters = list(self.model.names(stage.trained).values())
        decayed = [p for p in parameters if p.ndim > 1]
        others = [p for p in parameters if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": stage.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=stage.learning_rate, fused=self.accelerator.device.type == "cuda")

    def _parameters_of(self, optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
        """Return an optimiser's parameters in the model's order; gradients left on other heads are not included."""
        optimized = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        return [parameter for parameter in self.model.parameters() if id(parameter) in optimized]


MEMORY_ERRORS = (RuntimeError, MemoryError)
"""Errors raised when memory runs out: GPU memory by torch, host memory by torch or NumPy."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error reports that memory ran out."""
    is_typed = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_typed or "can't allocate memory" in str(error)  # from torch's host allocator


def _grouped(sets: Sequence[TaskWindows]) -> list[list[int]]:
    """Return the indices of the sets of each task and head, which may share batches."""
    groups: dict[tuple[int, str | None], list[int]] = {}
    for k, eval_set in enumerate(sets):
        groups.setdefault((id(eval_set.task), eval_set.head), []).append(k)
    return list(groups.values())


def _copied(model: SharedEncoder) -> dict[str, torch.Tensor]:
    """Return a copy of the weights of a model on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.tensors().items()}
