"""The training loop: run a stage from its longest stored prefix, evaluate it at rungs, and store it at stops.

With equal provenance, a stage resumed from a checkpoint equals an uninterrupted one bit for bit. Its curve does not
depend on what was stored before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from ratio_hpo.core.errors import ResumeError, StorageFullError
from ratio_hpo.core.files import unless_disk_is_full
from ratio_hpo.core.measures import NOTHING, PaidCost
from ratio_hpo.core.trial import UNSTORED
from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.training.checkpoint import (
    STATE,
    StageMetrics,
    StageState,
    load_checkpoint,
    save_checkpoint,
    update_state,
)
from ratio_hpo.training.engine import Engine
from ratio_hpo.training.evaluation import Evaluation, TaskWindows
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.scores import StageScores, is_scored, with_scores
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


class StageLoop:
    """Runs stages on an engine.

    Args:
        engine: engine that holds the model.
        store: store of weights, which may be evicted.
        items: store of item scores, which are kept.
        evaluation: targets that stages are scored on.

    Attributes:
        scores: scores of the engine's model.
    """

    scores: StageScores

    def __init__(self, engine: Engine, store: StageStore, items: ItemStore, evaluation: Evaluation) -> None:
        self._engine, self._store = engine, store
        self.scores = StageScores(engine, evaluation, items)

    def run(
        self,
        stage: Stage,
        sources: Mapping[str, TaskWindows],
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
        last = stage.steps if until is None else until
        with store.using(stage):
            step, tally = self._load_prefix(stage, optimizer, last)
            tally.inexact |= inexact
            scored = self.scores.steps(stage, final=final)
            spent = NOTHING
            if step in scored and not is_scored(tally.evaluations, step, scored[step]):
                spent += self._evaluate(stage, step, tally)  # stored by a stage that was not scored at this step
                with unless_disk_is_full():  # if the disk is full, it is scored again next time
                    update_state(store.folder(stage.name_at(step)), self._state(stage, step, tally))
                    store.publish(store.folder(stage.name_at(step)))
            for point in self._replay(stage, tally, scored.keys()):
                if since < point.step <= last:
                    yield replace(point, spent=spent) if point.step == step else point
            if step == stage.steps and step not in scored and step > since:  # the caller needs the stage's totals
                measures = {**tally.measures, "inexact": float(tally.inexact)}
                yield StagePoint(step=step, scores={}, measures=measures, weights=stage.name_at(step), items=None)
            first_tokens = tally.tokens
            for stop in [stop for stop in stage.stops() if step < stop <= last]:
                spent += self._advance(stage, step, stop, sources, optimizer, tally)
                step = stop
                if stop in scored:
                    spent += self._evaluate(stage, stop, tally)
                folder = store.folder(stage.name_at(stop))
                present = store.state(folder)
                if present is None or not fits(present, scored, stop + 1, self.scores.fingerprint(stage)):
                    self._save(folder, optimizer, self._state(stage, stop, tally))
                stored, due = (folder / STATE).is_file(), self.scores.due(stage, stop)
                yield StagePoint(
                    step=stop,
                    scores=tally.evaluations[-1].scores if stop in scored else {},
                    measures=tally.measures if stored else {**tally.measures, UNSTORED: 1.0},
                    weights=stage.name_at(stop) if stored else None,
                    items=self.scores.stored_items(stage.name_at(stop), due) if stop in scored else None,
                    spent=spent,
                    spent_tokens=tally.tokens - first_tokens,
                )

    def _advance(
        self,
        stage: Stage,
        start: int,
        stop: int,
        sources: Mapping[str, TaskWindows],
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

    def _load_prefix(self, stage: Stage, optimizer: torch.optim.Optimizer, last: int) -> tuple[int, StageMetrics]:
        """Load the longest intact prefix of at most `last` steps, and return its number of steps and its totals."""
        store, due = self._store, self.scores.steps(stage, final=True)
        while (state := store.longest_prefix(stage, self.scores.fingerprint(stage), due, last)) is not None:
            folder = store.folder(stage.name_at(state.step))
            try:
                load_checkpoint(folder, self._engine.model, optimizer)
            except ResumeError:
                store.discard(folder)
                continue
            store.touch(folder)
            tally = state.metrics
            tally.inexact |= state.provenance != self._engine.provenance()
            return state.step, tally
        return 0, StageMetrics()

    def _evaluate(self, stage: Stage, step: int, tally: StageMetrics) -> PaidCost:
        """Score the current model, store the item scores and return the cost."""
        targets = self.scores.due(stage, step)
        result = self.scores.score(stage.name_at(step), targets)
        tally.evaluations = with_scores(tally.evaluations, step, targets, result.scores, tally.measures)
        tally.loss, tally.updates, tally.by_head = 0.0, 0, {}
        return result.spent

    def _save(self, folder: Path, optimizer: torch.optim.Optimizer, state: StageState) -> None:
        """Store a checkpoint. On a full disk, evict older ones, or skip storing; training continues in either case."""
        store = self._store
        try:
            save_checkpoint(folder, self._engine.model, optimizer, state)
        except StorageFullError:
            num_bytes = 3 * 4 * self._engine.num_parameters  # float32 weights and AdamW's two moments
            if not store.free(num_bytes):
                return
            with suppress(StorageFullError):
                save_checkpoint(folder, self._engine.model, optimizer, state)
        store.publish(folder)
        store.evict()

    def _replay(self, stage: Stage, tally: StageMetrics, scored: Set[int]) -> Iterator[StagePoint]:
        """Yield the evaluations of a stored prefix."""
        for past in (past for past in tally.evaluations if past.step in scored):
            name, due = stage.name_at(past.step), self.scores.due(stage, past.step)
            yield StagePoint(
                step=past.step,
                scores=self.scores.only(past, due),
                measures={**past.measures, "inexact": float(tally.inexact)},
                weights=name if self._store.has(name) else None,
                items=self.scores.stored_items(name, due),
            )

    def _state(self, stage: Stage, step: int, tally: StageMetrics) -> StageState:
        return StageState(
            stage=stage.name,
            step=step,
            position=step * stage.batch_size,
            schedule={"name": stage.schedule, "steps": stage.steps, "warmup": stage.warmup},
            rng={"seed": stage.seed, "rule": "every draw is a function of (seed, stage, step)"},
            provenance=self._engine.provenance(),
            evaluation=self.scores.fingerprint(stage),
            heads=list(stage.trained),
            **{entry.name: getattr(tally, entry.name) for entry in fields(StageMetrics)},
        )
