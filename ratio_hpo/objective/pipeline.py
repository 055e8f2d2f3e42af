"""The built-in objective: parameters become an intermediate stage and target stages, the stages a stream of progress.

Target stages branch from the end of the intermediate one, which is trained once. They advance in rounds: each to its
first rung, then each to its second; a round is one piece of progress, after which the trial can be stopped.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ratio_hpo.core.files import faults_of_files
from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.plans import TrialPlan
from ratio_hpo.core.trial import Context, Params
from ratio_hpo.data.tasks import Task, make_task
from ratio_hpo.data.windows import WindowSet, open_windows
from ratio_hpo.objective.design import Design, TargetDesign, plan_stage
from ratio_hpo.objective.run import Stream, TrialRun
from ratio_hpo.training.base_model import checkpoint_bytes
from ratio_hpo.training.parameters import INTERMEDIATE

if TYPE_CHECKING:
    from ratio_hpo.training.calibration import Calibration
    from ratio_hpo.training.engine import Engine, TrainingSource
    from ratio_hpo.training.evaluation import Evaluation


class Pipeline:
    """The built-in objective. The engine is made at the first trial and kept for the next ones."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self._engine: Engine | None = None
        self._evaluation: Evaluation | None = None
        self._tasks: dict[str, Task] = {}
        self._opened: dict[str, WindowSet] = {}

    def plan(self, params: Params, seed: int) -> TrialPlan:
        """What parameters come to, before anything is trained: shares, epochs, caps, steps and cost.

        Raises:
            FileFault: the windows that it counts cannot be read.
        """
        with faults_of_files():
            return self._plan(params, seed)

    def _plan(self, params: Params, seed: int) -> TrialPlan:
        stages = self.design.make_stages(params, seed, precision="")
        plans = {
            stage.name: plan_stage(stage, solution, self.design.sources[stage.name], self._open)
            for stage, solution in stages
        }
        first = plans.get(INTERMEDIATE)
        return TrialPlan(
            ratio=first.ratio if first is not None else None,
            ratio_realised=first.ratio_realised if first is not None else None,
            cost=float(sum(plan.cost(self.design.cost_unit) for plan in plans.values())),
            stages=plans,
        )

    def __call__(self, params: Params, context: Context) -> Stream:
        with faults_of_files():
            yield from self._run(params, context)

    def _run(self, params: Params, context: Context) -> Stream:
        from ratio_hpo.training.items import ItemStore
        from ratio_hpo.training.loop import StageLoop, Stores
        from ratio_hpo.training.remote_files import fetch_windows
        from ratio_hpo.training.store import StageStore, store_budget

        folder = RunFolder(Path(context.root))
        remote_store = folder.remote_store(context.remote_store)
        if remote_store is not None:
            fetch_windows(self.design.window_folders, remote_store)
        engine, evaluation = self._warm(context)
        engine.reset(context.seed)
        room = checkpoint_bytes(self.design.base) or 3 * 4 * engine.num_parameters
        store = StageStore(folder.stages, store_budget(context.store_gb, room), remote_store)
        store.sweep()
        loop = StageLoop(engine, Stores(store, ItemStore(folder.items, remote_store)), evaluation)
        stages = [stage for stage, _ in self.design.make_stages(params, context.seed, precision=engine.precision)]
        if context.smaller:
            engine.shrink(context.smaller, max(stage.batch_size for stage in stages))
        first = [stage for stage in stages if stage.name == INTERMEDIATE]
        branches = [stage for stage in stages if stage.name != INTERMEDIATE]
        run = TrialRun(
            self.trained, loop, engine, evaluation, context, ends_here=not branches, cost_unit=self.design.cost_unit
        )
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

    def trained(self, stage: str) -> dict[str, TrainingSource]:
        """The sources of a stage as the engine trains them."""
        from ratio_hpo.training.engine import TrainingSource

        return {
            name: TrainingSource(self._open(source.folder), self._task(source.head), source.head)
            for name, source in self.design.sources[stage].items()
        }

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            design = self.design.tasks[name]
            self._tasks[name] = make_task(design.task, design.settings, design.labels)
        return self._tasks[name]

    def _scorer(self, target: TargetDesign) -> Task:
        """The task of a target, scored its way: two targets of one task may differ in it."""
        design = self.design.tasks[target.task]
        return make_task(design.task, design.settings, design.labels, target.metric)

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
                    task=self._scorer(target),
                    head=target.task if design.tasks[target.task].head is not None else None,
                    primary=target.primary,
                    languages=target.languages,
                    folders=target.folders,
                    settings=[design.tasks[target.task].settings.model_dump(), target.metric],
                    weight=target.weight,
                    stage=target.stage,
                    at_rungs=target.at_rungs,
                    last=target.last,
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
