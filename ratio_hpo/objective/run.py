"""Run one trial of the built-in objective and yield its progress."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ratio_hpo.core.measures import PaidCost
from ratio_hpo.core.plans import TOKENS
from ratio_hpo.core.trial import Context, Progress
from ratio_hpo.training.device import SystemMeasures
from ratio_hpo.training.evaluation import Evaluation, TaskWindows
from ratio_hpo.training.parameters import INTERMEDIATE, TARGET
from ratio_hpo.training.spec import Target
from ratio_hpo.training.stage import Stage

if TYPE_CHECKING:
    from ratio_hpo.training.engine import Engine
    from ratio_hpo.training.loop import StageLoop, StagePoint

Stream = Generator[Progress]
"""Progress of a trial."""


class TrialRun:
    """Trial of the built-in objective, with totals over its stages.

    Args:
        trained: Function that returns the training sources of a stage by its name.
        loop: Loop that trains a stage.
        engine: Engine that trains the model.
        evaluation: Evaluation of all targets.
        context: Context of the trial.
        ends_here: Whether the intermediate stage is the last stage.
        cost_unit: Unit of cost: `windows` or `tokens`.
    """

    def __init__(
        self,
        trained: Callable[[str], dict[str, TaskWindows]],
        loop: StageLoop,
        engine: Engine,
        evaluation: Evaluation,
        context: Context,
        *,
        ends_here: bool,
        cost_unit: str,
    ) -> None:
        self._trained, self._loop, self._engine, self._evaluation = trained, loop, engine, evaluation
        self._totals = _Totals(spent=context.spent)
        self._system = SystemMeasures() if context.system_metrics else None
        self._ends_here, self._by_tokens = ends_here, cost_unit == TOKENS
        self._scores: dict[str, dict[str, float]] = {}
        self._models: dict[str, str] = {}
        self._checkpoint: str | None = None
        self._items: dict[str, str] = {}

    def base(self, name: str) -> Stream:
        """Score the base model on targets without a stage; the target stages then start from the base model."""
        targets = self._evaluation.of_base()
        if targets:
            result = self._loop.scores.score(f"{name}/{0:08d}", targets)
            self._totals.spent += result.spent
            self._set_scores(targets, result.scores, result.items)
            yield self._progress(INTERMEDIATE, 0, {"seconds": 0.0, "tokens": 0.0, "inexact": 0.0})

    def rounds(self, stages: list[Stage]) -> Stream:
        """Train several target stages in rounds, and yield progress when all of them have reached their next rung."""
        start, inexact = self._engine.copy(), self._totals.inexact
        positions = {stage.name: 0 for stage in stages}
        grids = {stage.name: sorted(stage.scored(final=True)) for stage in stages}
        last: dict[str, StagePoint] = {}
        spent = self._totals.spent
        for number in range(max(len(grid) for grid in grids.values())):
            for stage in stages:
                if number >= len(grids[stage.name]):
                    continue
                until = grids[stage.name][number]
                self._engine.restore(start)
                points = self._loop.run(
                    stage, self._trained(stage.name), final=True, inexact=inexact, until=until,
                    since=positions[stage.name],
                )  # fmt: skip
                for point in points:
                    self._totals.inexact |= bool(point.measures["inexact"])
                    last[stage.name] = point
                positions[stage.name] = until
                spent += self._paid(last[stage.name])
                self._record(stage, last[stage.name])
            self._totals.spent = spent
            windows = {stage.name: positions[stage.name] * stage.batch_size for stage in stages}
            measures = self._combine([last[stage.name] for stage in stages])
            yield self._progress(TARGET, sum(windows.values()), measures, parts=windows)

    def stage(self, stage: Stage) -> Stream:
        """Train the intermediate stage or the only target stage, and yield progress at each rung."""
        has_layer_targets = any(target.head is None for target in self._evaluation.targets)
        final = stage.name != INTERMEDIATE or self._ends_here or has_layer_targets
        seconds = tokens = 0.0
        before = self._totals.spent
        points = self._loop.run(stage, self._trained(stage.name), final=final, inexact=self._totals.inexact)
        for point in points:
            self._totals.inexact = bool(point.measures["inexact"])
            seconds, tokens = point.measures["seconds"], point.measures["tokens"]
            self._totals.spent = before + self._paid(point)
            if point.scores:
                self._record(stage, point)
                windows, measures = point.step * stage.batch_size, dict(point.measures)
                yield self._progress(stage.name, windows, measures)
        self._totals.windows += stage.steps * stage.batch_size
        self._totals.seconds += seconds
        self._totals.tokens += tokens

    def _paid(self, point: StagePoint) -> PaidCost:
        """Return the paid cost of a point in the study's cost unit, with FLOPs."""
        flops = 6.0 * self._engine.num_parameters * point.spent_tokens
        return replace(point.spent, flops=flops, cost=point.spent_tokens if self._by_tokens else point.spent.cost)

    def _record(self, stage: Stage, point: StagePoint) -> None:
        """Record the scores of a point, and the names of its weights and item scores."""
        targets = self._evaluation.scored_at(stage.trained, stage=stage.name, end=point.step == stage.steps)
        self._set_scores(targets, point.scores, point.items)
        self._checkpoint = point.weights
        for target in targets:
            # retrieval uses no head, so any will do
            head = target.head or (stage.trained[0] if self._ends_here else None)
            if point.weights is not None and head is not None:
                several = len(stage.trained) > 1
                self._models[target.name] = f"{point.weights}#{head}" if several else point.weights

    def _set_scores(self, targets: Sequence[Target], scores: Mapping[str, float], items: str | None) -> None:
        """Replace the scores and item scores of some targets."""
        for target in targets:
            self._scores[target.name] = self._evaluation.only(scores, [target])
            self._items.pop(target.name, None)
            if items is not None:
                self._items[target.name] = items

    def _combine(self, points: list[StagePoint]) -> dict[str, float]:
        """Return the measures of several stages: totals of time and tokens, means of loss and speed."""
        total = {key: sum(point.measures[key] for point in points) for key in ("seconds", "tokens")}
        loss = sum(point.measures["loss"] for point in points) / len(points)
        speed = sum(point.measures["examples_per_second"] for point in points) / len(points)
        inexact = max(point.measures["inexact"] for point in points)
        return {**total, "loss": loss, "examples_per_second": speed, "inexact": inexact}

    def _progress(
        self, stage: str, windows: int, measures: dict[str, float], parts: Mapping[str, int] | None = None
    ) -> Progress:
        scores = self._evaluation.with_primary_score(
            {k: v for of_target in self._scores.values() for k, v in of_target.items()}
        )
        names = [target.name for target in self._evaluation.targets]
        single = len(names) == 1
        system_measures = self._system.read() if self._system is not None else {}
        return Progress(
            stage=stage,
            windows=windows,
            cost=self._totals.tokens + measures["tokens"] if self._by_tokens else self._totals.windows + windows,
            scores=scores,
            paid=self._totals.spent.cost,
            measures={**self._totals.measures(measures, self._engine.num_parameters), **system_measures},
            weights=self._models.get(names[0]) if single else self._checkpoint if stage == INTERMEDIATE else None,
            items=self._items.get(names[0]) if single else None,
            models={} if single else dict(self._models),
            item_files={} if single else dict(self._items),
            parts=dict(parts or {}),
        )


@dataclass(slots=True)
class _Totals:
    """Totals over the earlier stages of a trial."""

    spent: PaidCost
    inexact: bool = False
    windows: float = 0.0
    seconds: float = 0.0
    tokens: float = 0.0

    def measures(self, stage: Mapping[str, float], num_parameters: int) -> dict[str, float]:
        """Return the measures of a stage with totals since the base model; FLOPs are 6 x parameters x tokens."""
        tokens = self.tokens + stage["tokens"]
        return {
            **stage,
            "seconds": self.seconds + stage["seconds"],
            "tokens": tokens,
            "flops": 6.0 * num_parameters * tokens,
            "paid_seconds": self.spent.seconds,
            "paid_flops": self.spent.flops,
            "paid_scored": self.spent.scored,
            "paid_scoring_seconds": self.spent.scoring_seconds,
        }
