"""The built-in objective: parameters become an intermediate stage and target stages, the stages a stream of progress.

Target stages branch from the end of the intermediate one, which is trained once. They advance in rounds: each to its
first rung, then each to its second; a round is one piece of progress, after which the trial can be stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.plans import TrialPlan
from ratio_hpo.core.trial import Context, Params, Progress, Spent
from ratio_hpo.data.tasks import Task, make_task
from ratio_hpo.data.windows import WindowSet, open_windows
from ratio_hpo.objective.design import Design, plan_stage
from ratio_hpo.training.base import checkpoint_bytes
from ratio_hpo.training.parameters import INTERMEDIATE, TARGET
from ratio_hpo.training.stage import Stage
from ratio_hpo.training.system import SystemMeasures

if TYPE_CHECKING:
    from ratio_hpo.training.calibration import Calibration
    from ratio_hpo.training.engine import Engine, Trained
    from ratio_hpo.training.evaluation import Evaluation
    from ratio_hpo.training.loop import StageLoop, StagePoint


class Pipeline:
    """The built-in objective. The engine is made at the first trial and kept for the next ones."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self._engine: Engine | None = None
        self._evaluation: Evaluation | None = None
        self._tasks: dict[str, Task] = {}
        self._opened: dict[str, WindowSet] = {}

    def plan(self, params: Params, seed: int) -> TrialPlan:
        """What parameters come to, before anything is trained: shares, epochs, caps, steps and cost."""
        stages = self.design.make_stages(params, seed, precision="")
        plans = {
            stage.name: plan_stage(stage, solution, self.design.sources[stage.name], self._open)
            for stage, solution in stages
        }
        first = plans.get(INTERMEDIATE)
        return TrialPlan(
            ratio=first.ratio if first is not None else None,
            ratio_realised=first.ratio_realised if first is not None else None,
            cost=float(sum(plan.windows for plan in plans.values())),
            stages=plans,
        )

    def __call__(self, params: Params, context: Context) -> Iterator[Progress]:
        from ratio_hpo.training.items import ItemStore
        from ratio_hpo.training.loop import StageLoop, Stores
        from ratio_hpo.training.store import StageStore, store_budget

        engine, evaluation = self._warm(context)
        engine.reset(context.seed)
        folder = RunFolder(Path(context.root))
        room = checkpoint_bytes(self.design.base) or 3 * 4 * engine.num_parameters
        store = StageStore(folder.stages, store_budget(context.store_gb, room))
        store.sweep()
        store.check_room(room)
        loop = StageLoop(engine, Stores(store, ItemStore(folder.items)), evaluation)
        stages = [stage for stage, _ in self.design.make_stages(params, context.seed, precision=engine.precision)]
        first = [stage for stage in stages if stage.name == INTERMEDIATE]
        branches = [stage for stage in stages if stage.name != INTERMEDIATE]
        run = _Run(self, loop, engine, evaluation, context, rounds_end=not branches)
        with ExitStack() as used:
            for stage in branches if len(branches) > 1 else ():
                used.enter_context(store.using(stage))
            if first:
                yield from run.intermediate(first[0])
            else:
                yield from run.base(fingerprint([self.design.base.identity, context.seed]))
            if len(branches) == 1:
                yield from run.only(branches[0])
            elif branches:
                yield from run.rounds(branches)

    def calibrate(self, params: Params, context: Context) -> Calibration:
        """Time a few steps and a small evaluation on this machine; stores nothing."""
        from ratio_hpo.training.calibration import calibrate

        engine, evaluation = self._warm(context)
        stage, _ = self.design.make_stages(params, context.seed, precision=engine.precision)[0]
        return calibrate(engine, stage, self.trained(stage.name), evaluation)

    def trained(self, stage: str) -> dict[str, Trained]:
        """The sources of a stage as the engine trains them."""
        from ratio_hpo.training.engine import Trained

        return {
            name: Trained(self._open(source.folder), self._task(source.head), source.head)
            for name, source in self.design.sources[stage].items()
        }

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            design = self.design.tasks[name]
            self._tasks[name] = make_task(design.task, design.settings, design.labels, design.options)
        return self._tasks[name]

    def _open(self, folder: str) -> WindowSet:
        if folder not in self._opened:
            self._opened[folder] = open_windows(folder)
        return self._opened[folder]

    def _warm(self, context: Context) -> tuple[Engine, Evaluation]:
        """The engine and the evaluation, made at the first call."""
        import torch

        from ratio_hpo.training.engine import Engine
        from ratio_hpo.training.evaluation import Evaluation, Target

        if context.threads:
            torch.set_num_threads(context.threads)
        design = self.design
        if self._engine is None or self._evaluation is None:
            targets = [
                Target(
                    name=target.name,
                    task=self._task(target.task),
                    head=target.task if design.tasks[target.task].head is not None else None,
                    primary=target.primary,
                    languages=target.languages,
                    folders=target.folders,
                    settings=[design.tasks[target.task].settings.model_dump(), design.tasks[target.task].options],
                    weight=target.weight,
                    stage=target.stage,
                    at_rungs=target.at_rungs,
                )
                for target in design.targets
            ]
            self._evaluation = Evaluation(targets)
            self._engine = Engine(
                design.base,
                design.heads,
                design.engine,
                vocabulary=design.vocabulary,
                seed=design.seed,
                device=context.device,
            )
        return self._engine, self._evaluation


class _Run:
    """One trial: its stages one after another, and the totals of those before."""

    def __init__(
        self,
        pipeline: Pipeline,
        loop: StageLoop,
        engine: Engine,
        evaluation: Evaluation,
        context: Context,
        *,
        rounds_end: bool,
    ) -> None:
        self._pipeline, self._loop, self._engine, self._evaluation = pipeline, loop, engine, evaluation
        self._totals = _Totals(spent=context.spent)
        self._system = SystemMeasures() if context.system_metrics else None
        self._ends_here = rounds_end
        self._scores: dict[str, float] = {}
        self._models: dict[str, str] = {}
        self._items: dict[str, str] = {}

    def base(self, name: str) -> Iterator[Progress]:
        """The base as it is, scored on what has no stage; the rest of the trial starts from it."""
        targets = [target for target in self._evaluation.targets if target.head is None]
        if targets:
            scores, items = self._loop.score_here(f"{name}/{0:08d}", targets)
            self._take(scores, {target.name: items for target in targets})
            yield self._progress(INTERMEDIATE, 0, dict(_NOTHING_YET))

    def intermediate(self, stage: Stage) -> Iterator[Progress]:
        """The stage that all others start from."""
        final = self._ends_here or any(target.head is None for target in self._evaluation.targets)
        yield from self._stage(stage, final=final)

    def only(self, stage: Stage) -> Iterator[Progress]:
        """The one target stage, at each of its rungs."""
        yield from self._stage(stage, final=True)

    def rounds(self, stages: list[Stage]) -> Iterator[Progress]:
        """Several target stages in turns; each time all of them have gone on by one rung."""
        start, inexact = self._engine.copy(), self._totals.inexact
        places = {stage.name: 0 for stage in stages}
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
                    stage, self._pipeline.trained(stage.name), final=True, inexact=inexact, until=until,
                    since=places[stage.name],
                )  # fmt: skip
                for point in points:
                    self._totals.inexact |= bool(point.measures["inexact"])
                    last[stage.name] = point
                places[stage.name] = until
                spent += self._really(last[stage.name])
                self._note(stage, last[stage.name])
            self._totals.spent = spent
            windows = {stage.name: places[stage.name] * stage.batch_size for stage in stages}
            yield self._progress(
                TARGET, sum(windows.values()), self._together([last[stage.name] for stage in stages]), parts=windows
            )

    def _stage(self, stage: Stage, *, final: bool) -> Iterator[Progress]:
        seconds = tokens = 0.0
        before = self._totals.spent
        points = self._loop.run(stage, self._pipeline.trained(stage.name), final=final, inexact=self._totals.inexact)
        for point in points:
            self._totals.inexact = bool(point.measures["inexact"])
            seconds, tokens = point.measures["seconds"], point.measures["tokens"]
            self._totals.spent = before + self._really(point)
            if point.scores:
                self._note(stage, point)
                yield self._progress(stage.name, point.step * stage.batch_size, dict(point.measures))
        self._totals.cost += stage.steps * stage.batch_size
        self._totals.seconds += seconds
        self._totals.tokens += tokens

    def _really(self, point: StagePoint) -> Spent:
        return replace(point.spent, flops=6.0 * self._engine.num_parameters * point.spent_tokens)

    def _note(self, stage: Stage, point: StagePoint) -> None:
        """Take in what a point has scored, and where its weights and items are."""
        targets = self._evaluation.scored_at(stage.trained, stage=stage.name, end=point.step == stage.steps)
        self._take(point.scores, {t.name: point.items for t in targets if point.items is not None})
        for target in targets:
            if point.weights is not None and target.head is not None:
                several = len(stage.trained) > 1
                self._models[target.name] = f"{point.weights}#{target.head}" if several else point.weights

    def _take(self, scores: Mapping[str, float], items: Mapping[str, str]) -> None:
        self._scores |= scores
        self._items |= items

    def _together(self, points: list[StagePoint]) -> dict[str, float]:
        """Measures of several stages as one."""
        total = {key: sum(point.measures[key] for point in points) for key in ("seconds", "tokens")}
        loss = sum(point.measures["loss"] for point in points) / len(points)
        speed = sum(point.measures["examples_per_second"] for point in points) / len(points)
        inexact = max(point.measures["inexact"] for point in points)
        return {**total, "loss": loss, "examples_per_second": speed, "inexact": inexact}

    def _progress(
        self, stage: str, windows: int, measures: dict[str, float], parts: Mapping[str, int] | None = None
    ) -> Progress:
        scores = self._evaluation.with_headline(self._scores)
        names = [target.name for target in self._evaluation.targets]
        single = len(names) == 1
        measured = self._system.read() if self._system is not None else {}
        return Progress(
            stage=stage,
            windows=windows,
            cost=self._totals.cost + windows,
            scores=scores,
            paid=self._totals.spent.windows,
            measures={**self._totals.measures(measures, self._engine.num_parameters), **measured},
            weights=self._models.get(names[0]) if single else None,
            items=self._items.get(names[0]) if single else None,
            models={} if single else dict(self._models),
            item_files={} if single else dict(self._items),
            parts=dict(parts or {}),
        )


_NOTHING_YET = {"seconds": 0.0, "tokens": 0.0, "inexact": 0.0}
"""Measures of the base before anything is trained."""


@dataclass(slots=True)
class _Totals:
    """What the stages before came to."""

    spent: Spent
    inexact: bool = False
    cost: float = 0.0
    seconds: float = 0.0
    tokens: float = 0.0

    def measures(self, stage: Mapping[str, float], num_parameters: int) -> dict[str, float]:
        """Measures of a stage with its totals counted from the base on; FLOPs are 6 x parameters x tokens."""
        tokens = self.tokens + stage["tokens"]
        return {
            **stage,
            "seconds": self.seconds + stage["seconds"],
            "tokens": tokens,
            "flops": 6.0 * num_parameters * tokens,
            "paid_seconds": self.spent.seconds,
            "paid_flops": self.spent.flops,
        }
