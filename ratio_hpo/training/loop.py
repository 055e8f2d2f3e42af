"""The training loop: run a stage from its longest stored prefix, evaluate it at rungs, and store it at stops.

With equal provenance, a stage resumed from a checkpoint equals an uninterrupted one bit for bit. Its curve does not
depend on what was stored before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ratio_hpo.core.errors import ResumeError, StorageFullError
from ratio_hpo.core.files import unless_disk_is_full
from ratio_hpo.core.measures import NOTHING, PaidCost
from ratio_hpo.core.trial import UNSTORED
from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.training.checkpoint import STATE, load_checkpoint, save_checkpoint, update_state
from ratio_hpo.training.engine import Engine, StageMetrics, TrainingSource
from ratio_hpo.training.evaluation import Evaluation, Target
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.scores import PlaceScores, StageScores, past_at, with_scores
from ratio_hpo.training.stage import Stage, factor
from ratio_hpo.training.store import StageStore, fits


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePoint:
    """A step of a stage that was evaluated or stored.

    Attributes:
        step: number of updates so far.
        scores: scores; empty if the step is stored but not evaluated.
        measures: loss, lr, examples_per_second, and cumulative seconds and tokens of the stage.
        weights: name of the checkpoint; None if it is no longer stored.
        items: name of the item scores; None if they are not stored.
        spent: cost paid by this call, without FLOPs, which depend on the model.
        spent_tokens: non-padding tokens trained by this call.
    """

    step: int
    scores: Mapping[str, float]
    measures: Mapping[str, float]
    weights: str | None
    items: str | None
    spent: PaidCost = NOTHING
    spent_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Stores:
    """Stores of stage results: weights, which may be evicted, and item scores, which are kept."""

    stages: StageStore
    items: ItemStore


class StageLoop:
    """Runs stages on an engine.

    Args:
        engine: engine that holds the model.
        stores: stores of weights and item scores.
        evaluation: targets that stages are scored on.
    """

    def __init__(self, engine: Engine, stores: Stores, evaluation: Evaluation) -> None:
        self._engine, self._store = engine, stores.stages
        self._scores = StageScores(engine, evaluation, stores.items)

    def run(
        self,
        stage: Stage,
        sources: Mapping[str, TrainingSource],
        *,
        final: bool,
        inexact: bool = False,
        until: int | None = None,
        since: int = 0,
    ) -> Iterator[StagePoint]:
        """Run a stage from its longest stored prefix, yielding at every stop.

        Args:
            stage: stage to run.
            sources: training sources of the stage by name.
            final: whether the end is evaluated even if it is not a rung.
            inexact: whether the initial weights are inexact.
            until: step to stop at, if the stage is resumed later; None: the end of the stage.
            since: last step that was already yielded; only later steps are yielded.

        Raises:
            Diverged: a loss is not finite.
        """
        optimizer, store = self._engine.optimizer(stage), self._store
        tally, last = StageMetrics(inexact=inexact), stage.steps if until is None else until
        with store.using(stage):
            step = self._load_prefix(stage, optimizer, tally, last)
            scored = self._scores.steps(stage, final=final)
            spent = NOTHING
            if step in scored and past_at(tally.evaluations, step, scored[step]) is None:
                spent += self._evaluate(stage, step, tally)  # stored by a stage that was not scored at this step
                with unless_disk_is_full():  # if the disk is full, it is scored again next time
                    update_state(store.folder(stage.name_at(step)), self._state(stage, step, tally))
                    store.publish(store.folder(stage.name_at(step)))
            for point in self._replay(stage, tally, scored.keys()):
                if since < point.step <= last:
                    yield replace(point, spent=spent) if point.step == step else point
            if step == stage.steps and step not in scored and step > since:  # the caller needs the stage's totals
                yield self._unscored(stage, step, tally)
            first_tokens = tally.tokens
            for stop in [stop for stop in stage.stops() if step < stop <= last]:
                spent += self._advance(stage, step, stop, sources, optimizer, tally)
                step = stop
                if stop in scored:
                    spent += self._evaluate(stage, stop, tally)
                folder = store.folder(stage.name_at(stop))
                present = store.state(folder)
                if present is None or not fits(present, scored, stop + 1, self._scores.fingerprint(stage)):
                    self._save(folder, stage, optimizer, self._state(stage, stop, tally))
                stored, due = (folder / STATE).is_file(), self._scores.due(stage, stop)
                yield StagePoint(
                    step=stop,
                    scores=tally.evaluations[-1]["scores"] if stop in scored else {},
                    measures=tally.measures if stored else {**tally.measures, UNSTORED: 1.0},
                    weights=stage.name_at(stop) if stored else None,
                    items=self._scores.kept(stage.name_at(stop), due) if stop in scored else None,
                    spent=spent,
                    spent_tokens=tally.tokens - first_tokens,
                )

    def score_here(self, name: str, targets: Sequence[Target]) -> PlaceScores:
        """Score the current weights on some targets.

        Args:
            name: name under which the item scores are stored.
            targets: targets to score.
        """
        scores, spent = self._scores.score(name, targets)
        return PlaceScores(scores, self._scores.kept(name, targets), spent)

    def _advance(
        self,
        stage: Stage,
        start: int,
        stop: int,
        sources: Mapping[str, TrainingSource],
        optimizer: torch.optim.Optimizer,
        tally: StageMetrics,
    ) -> PaidCost:
        """Run the updates from one stop to the next and return their cost."""
        start_time, tokens, stream = time.monotonic(), tally.tokens, MixtureStream(stage.mixture, stage.seed)
        for step in range(start, stop):
            tally.loss += self._engine.step(stage, step, stream, sources, optimizer, tally)
            tally.updates += 1
        seconds, windows = time.monotonic() - start_time, (stop - start) * stage.batch_size
        tally.seconds += seconds
        tally.measures = {
            "loss": tally.loss / tally.updates,
            "lr": stage.learning_rate * factor(stage.schedule, stop - 1, steps=stage.steps, warmup=stage.warmup),
            "examples_per_second": windows / seconds,
            "tokens_per_second": (tally.tokens - tokens) / seconds,
            "seconds": tally.seconds,
            "tokens": float(tally.tokens),
            "inexact": float(tally.inexact),
        }
        if len(stage.trained) > 1:
            tally.measures |= {name: total / number for name, (total, number) in tally.by_head.items() if number}
        return PaidCost(windows, seconds)

    def _load_prefix(self, stage: Stage, optimizer: torch.optim.Optimizer, tally: StageMetrics, last: int) -> int:
        """Load the longest intact prefix of at most `last` steps and return its number of steps."""
        store, due = self._store, self._scores.steps(stage, final=True)
        while (prefix := store.longest_prefix(stage, self._scores.fingerprint(stage), due, last)) is not None:
            step, state = prefix
            folder = store.folder(stage.name_at(step))
            try:
                load_checkpoint(folder, self._engine.model, optimizer)
            except ResumeError:
                store.discard(folder)
                continue
            store.touch(folder)
            tally.seconds, tally.tokens = state["seconds"], state["tokens"]
            tally.loss, tally.updates, tally.measures = state["loss"], state["updates"], dict(state["measures"])
            tally.by_head = {head: list(total) for head, total in state["by_head"].items()}
            tally.evaluations = list(state["evaluations"])
            tally.inexact |= state["inexact"] or state["provenance"] != self._engine.provenance()
            return step
        return 0

    def _evaluate(self, stage: Stage, step: int, tally: StageMetrics) -> PaidCost:
        """Score the current model, store the item scores and return the cost."""
        targets = self._scores.due(stage, step)
        scores, spent = self._scores.score(stage.name_at(step), targets)
        tally.evaluations = with_scores(tally.evaluations, step, targets, scores, tally.measures)
        tally.loss, tally.updates, tally.by_head = 0.0, 0, {}
        return spent

    def _save(self, folder: Path, stage: Stage, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Store a checkpoint. On a full disk, evict older ones, or skip storing; training continues in either case."""
        store = self._store
        try:
            save_checkpoint(folder, self._engine.model, stage.trained, optimizer, state)
        except StorageFullError:
            num_bytes = 3 * 4 * self._engine.num_parameters  # float32 weights and AdamW's two moments
            if not store.free(num_bytes):
                return
            with suppress(StorageFullError):
                save_checkpoint(folder, self._engine.model, stage.trained, optimizer, state)
        store.publish(folder)
        store.evict()

    def _replay(self, stage: Stage, tally: StageMetrics, scored: Set[int]) -> Iterator[StagePoint]:
        """Yield the evaluations of a stored prefix."""
        for past in (past for past in tally.evaluations if past["step"] in scored):
            name, due = stage.name_at(past["step"]), self._scores.due(stage, past["step"])
            yield StagePoint(
                step=past["step"],
                scores=self._scores.only(past, due),
                measures={**past["measures"], "inexact": float(tally.inexact)},
                weights=name if self._store.has(name) else None,
                items=self._scores.kept(name, due),
            )

    def _unscored(self, stage: Stage, step: int, tally: StageMetrics) -> StagePoint:
        """Return the point at the end of a completely stored stage that is not scored there."""
        measures = {**tally.measures, "inexact": float(tally.inexact)}
        return StagePoint(step=step, scores={}, measures=measures, weights=stage.name_at(step), items=None)

    def _state(self, stage: Stage, step: int, tally: StageMetrics) -> dict[str, Any]:
        return {
            "stage": stage.name,
            "step": step,
            "position": step * stage.batch_size,
            "schedule": {"name": stage.schedule, "steps": stage.steps, "warmup": stage.warmup},
            "rng": {"seed": stage.seed, "rule": "every draw is a function of (seed, stage, step)"},
            "provenance": self._engine.provenance(),
            "inexact": tally.inexact,
            "seconds": tally.seconds,
            "tokens": tally.tokens,
            "loss": tally.loss,
            "updates": tally.updates,
            "measures": tally.measures,
            "by_head": tally.by_head,
            "evaluation": self._scores.fingerprint(stage),
            "evaluations": tally.evaluations,
        }
