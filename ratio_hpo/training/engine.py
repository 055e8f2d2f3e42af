"""One training loop for any encoder of transformers with a task's head on it.

Every random draw is a function of position: which windows a step takes, and the seed of its dropout. So a stage
that goes on from a checkpoint equals one that was never interrupted, bit for bit where the provenance is equal.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from ratio_hpo.core.errors import Diverged, ResumeError
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Spent
from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.data.tasks import Batch, Task
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.training.checkpoint import load_checkpoint, save_checkpoint
from ratio_hpo.training.device import default_device, resolve_precision
from ratio_hpo.training.evaluation import Evaluation
from ratio_hpo.training.model import Base, load_model
from ratio_hpo.training.schedule import factor
from ratio_hpo.training.spec import EngineSpec
from ratio_hpo.training.stage import Stage
from ratio_hpo.training.store import StageStore, fits


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePoint:
    """A place in a stage where it was evaluated or stored.

    Attributes:
        step: updates so far.
        scores: empty where the place is stored but not evaluated.
        measures: loss, lr, examples_per_second, and cumulative seconds and tokens of the stage.
        weights: folder of the checkpoint; None where it is no longer stored.
        spent: by this call; without FLOPs, which hang on the model.
        spent_tokens: non-padding tokens trained by this call.
    """

    step: int
    scores: Mapping[str, float]
    measures: Mapping[str, float]
    weights: str | None
    spent: Spent
    spent_tokens: int


@dataclass(slots=True)
class Tally:
    """Running totals of a stage."""

    seconds: float = 0.0
    tokens: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    inexact: bool = False


class Engine:
    """A model on a device; reused from trial to trial.

    Args:
        pad: id of the padding token.
        token_types: whether the model takes segment ids.
        seed: of the head, where the base has none.
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
        self.model = load_model(base, task.auto_class, seed).to(self.accelerator.device)
        self._fresh = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
        self.num_parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def reset(self) -> None:
        """Put the base's weights back."""
        self.model.load_state_dict(self._fresh)

    def provenance(self) -> dict[str, Any]:
        """What may change the last bits of a result."""
        return {
            "device": self.accelerator.device.type,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "micro_batch": self.micro_batch,
        }

    def train(
        self,
        spec: Stage,
        sources: Mapping[str, WindowSet],
        store: StageStore,
        evaluation: Evaluation,
        *,
        final: bool,
        inexact: bool = False,
    ) -> Iterator[StagePoint]:
        """Run a stage from its longest stored prefix, yielding at every stop.

        Args:
            inexact: whether the weights that it starts from were.
            final: whether it is the trial's last stage, whose end is always evaluated.

        Raises:
            Diverged: a loss that is not finite.
        """
        optimizer = self.optimizer(spec)
        tally = Tally(inexact=inexact)
        with store.using(spec):
            start = self._go_on(spec, store, evaluation, optimizer, tally)
            rungs = set(spec.rungs) | ({spec.steps} if final else set())
            yield from self._replay(spec, store, tally, rungs)
            spent, first_tokens, step = Spent(), tally.tokens, start
            stream = MixtureStream(spec.mixture, spec.seed)
            for stop in (stop for stop in spec.stops() if stop > start):
                began, tokens, losses = time.monotonic(), tally.tokens, []
                while step < stop:
                    losses.append(self.step(spec, step, stream, sources, optimizer, tally))
                    step += 1
                passed = time.monotonic() - began
                spent += Spent(len(losses) * spec.batch_size, passed)
                tally.seconds += passed
                measures = {
                    "loss": float(np.mean(losses)),
                    "lr": spec.learning_rate * factor(spec.schedule, step - 1, steps=spec.steps, warmup=spec.warmup),
                    "examples_per_second": len(losses) * spec.batch_size / passed,
                    "tokens_per_second": (tally.tokens - tokens) / passed,
                    "seconds": tally.seconds,
                    "tokens": float(tally.tokens),
                    "inexact": float(tally.inexact),
                }
                scores = evaluation.score(self) if stop in rungs else {}
                if scores:
                    tally.evaluations.append({"step": stop, "scores": scores, "measures": measures})
                folder = store.folder(spec, stop)
                present = store.state(folder)
                if present is None or not fits(present, spec, stop, evaluation.fingerprint):
                    save_checkpoint(folder, self.model, optimizer, self._state(spec, stop, evaluation, tally))
                    store.evict()
                own = {"spent": spent, "spent_tokens": tally.tokens - first_tokens}
                yield StagePoint(step=stop, scores=scores, measures=measures, weights=str(folder), **own)

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
        spec: Stage,
        step: int,
        stream: MixtureStream,
        sources: Mapping[str, WindowSet],
        optimizer: torch.optim.Optimizer,
        tally: Tally,
    ) -> float:
        """One update; halves the micro-batch and repeats it where memory runs out."""
        drawn = stream.take(step * spec.batch_size, (step + 1) * spec.batch_size)
        chosen = [(sources[stream.sources[k]], int(i)) for k, i in zip(*drawn, strict=True)]
        self.model.train()
        while True:
            size = min(self.micro_batch or len(chosen), len(chosen))
            torch.manual_seed(integer_hash("step", spec.seed, spec.name, step))
            optimizer.zero_grad(set_to_none=True)
            try:
                loss = sum(self._backward(chosen[k : k + size], len(chosen)) for k in range(0, len(chosen), size))
                break
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self.micro_batch = (size + 1) // 2
        if not np.isfinite(loss):
            raise Diverged(spec.name, step, {"learning_rate": spec.learning_rate, "batch_size": spec.batch_size})
        self.accelerator.clip_grad_norm_(self.model.parameters(), spec.clip)
        scale = factor(spec.schedule, step, steps=spec.steps, warmup=spec.warmup)
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * scale
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

    def optimizer(self, spec: Stage) -> torch.optim.Optimizer:
        """AdamW; biases and norms are not decayed."""
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=spec.learning_rate, fused=self.accelerator.device.type == "cuda")

    def _go_on(
        self,
        spec: Stage,
        store: StageStore,
        evaluation: Evaluation,
        optimizer: torch.optim.Optimizer,
        tally: Tally,
    ) -> int:
        """Load the longest intact prefix; returns its steps."""
        while (found := store.longest_prefix(spec, evaluation.fingerprint)) is not None:
            step, state = found
            folder = store.folder(spec, step)
            try:
                load_checkpoint(folder, self.model, optimizer)
            except ResumeError:
                store.discard(folder)
                continue
            store.touch(folder)
            tally.seconds, tally.tokens = state["seconds"], state["tokens"]
            tally.evaluations = list(state["evaluations"])
            tally.inexact |= state["inexact"] or state["provenance"] != self.provenance()
            return step
        return 0

    def _replay(self, spec: Stage, store: StageStore, tally: Tally, rungs: Container[int]) -> Iterator[StagePoint]:
        """The evaluations at rungs that a stored prefix has been through."""
        for past in (past for past in tally.evaluations if past["step"] in rungs):
            folder = store.folder(spec, past["step"])
            yield StagePoint(
                step=past["step"],
                scores=past["scores"],
                measures=past["measures"],
                weights=str(folder) if folder.is_dir() else None,
                spent=Spent(),
                spent_tokens=0,
            )

    def _state(self, spec: Stage, step: int, evaluation: Evaluation, tally: Tally) -> dict[str, Any]:
        return {
            "stage": spec.name,
            "step": step,
            "position": step * spec.batch_size,
            "schedule": {"name": spec.schedule, "steps": spec.steps, "warmup": spec.warmup},
            "rng": {"seed": spec.seed, "rule": "every draw is a function of (seed, stage, step)"},
            "provenance": self.provenance(),
            "inexact": tally.inexact,
            "seconds": tally.seconds,
            "tokens": tally.tokens,
            "evaluation": evaluation.fingerprint,
            "evaluations": tally.evaluations,
        }
