"""Built-in objective: train an intermediate stage and target stages, and yield progress.

Target stages branch from the end of the intermediate stage, which is trained once. They advance in rounds: each stage
trains to its first rung, then each to its second, and so on. Each round yields one progress, after which the trial can
be pruned.
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
from ratio_hpo.data.tasks import Task
from ratio_hpo.objective.design import Design, plan_stage
from ratio_hpo.objective.run import Stream, TrialRun
from ratio_hpo.training.base_model import checkpoint_bytes
from ratio_hpo.training.evaluation import Evaluation, TaskWindows
from ratio_hpo.training.parameters import INTERMEDIATE

if TYPE_CHECKING:
    from ratio_hpo.training.calibration import Calibration
    from ratio_hpo.training.engine import Engine


class Pipeline:
    """Built-in objective, which creates its engine at the first trial and reuses it.

    Args:
        design: The study's design.

    Attributes:
        evaluation: Evaluation of trials on the targets.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.evaluation = Evaluation(design.targets)
        self._engine: Engine | None = None
        self._tasks: dict[str, Task] = {}

    def plan(self, params: Params, seed: int) -> TrialPlan:
        """Return the plan of a trial without training it: realised shares, epochs, caps, steps and cost.

        Raises:
            FileFault: A window set cannot be read.
        """
        with faults_of_files():
            plans = {
                stage.name: plan_stage(stage, solution, self.design.sources[stage.name], self.evaluation.open)
                for stage, solution in self.design.make_stages(params, seed, precision="")
            }
        intermediate = plans.get(INTERMEDIATE)
        return TrialPlan(
            ratio=intermediate.ratio if intermediate is not None else None,
            ratio_realised=intermediate.ratio_realised if intermediate is not None else None,
            cost=float(sum(plan.cost(self.design.cost_unit) for plan in plans.values())),
            stages=plans,
        )

    def __call__(self, params: Params, context: Context) -> Stream:
        with faults_of_files():
            yield from self._run(params, context)

    def _run(self, params: Params, context: Context) -> Stream:
        from ratio_hpo.training.items import ItemStore
        from ratio_hpo.training.loop import StageLoop
        from ratio_hpo.training.remote_files import fetch_windows
        from ratio_hpo.training.store import StageStore, store_budget

        folder = RunFolder(Path(context.root))
        remote_store = folder.remote_store(context.remote_store)
        if remote_store is not None:
            fetch_windows(self.design.window_folders, remote_store)
        engine = self._warm(context)
        engine.reset(context.seed)
        checkpoint_size = checkpoint_bytes(self.design.base) or 3 * 4 * engine.num_parameters
        store = StageStore(folder.stages, store_budget(context.store_gb, checkpoint_size), remote_store)
        store.sweep()
        loop = StageLoop(engine, store, ItemStore(folder.items, remote_store), self.evaluation)
        stages = [stage for stage, _ in self.design.make_stages(params, context.seed, precision=engine.precision)]
        if context.smaller:
            engine.shrink(context.smaller, max(stage.batch_size for stage in stages))
        branches = [stage for stage in stages if stage.name != INTERMEDIATE]
        run = TrialRun(
            self.trained,
            loop,
            engine,
            self.evaluation,
            context,
            ends_here=not branches,
            cost_unit=self.design.cost_unit,
        )
        with ExitStack() as stages_in_use:
            for stage in branches if len(branches) > 1 else ():
                stages_in_use.enter_context(store.using(stage))
            if len(branches) < len(stages):
                yield from run.stage(stages[0])
            else:
                yield from run.base(fingerprint([self.design.base.identity, context.seed]))
            if len(branches) == 1:
                yield from run.stage(branches[0])
            elif branches:
                yield from run.rounds(branches)

    def calibrate(self, params: Params, context: Context) -> Calibration:
        """Time a few steps and a small evaluation on this machine, without storing results."""
        from ratio_hpo.training.calibration import calibrate

        engine = self._warm(context)
        stage, _ = self.design.make_stages(params, context.seed, precision=engine.precision)[0]
        return calibrate(engine, stage, self.trained(stage.name), self.evaluation)

    def trained(self, stage: str) -> dict[str, TaskWindows]:
        """Return the training windows of a stage by source."""
        return {
            name: TaskWindows(self.evaluation.open(source.folder), self._task(source.head), source.head)
            for name, source in self.design.sources[stage].items()
        }

    def _task(self, head: str) -> Task:
        if head not in self._tasks:
            self._tasks[head] = self.design.tasks[head].make()
        return self._tasks[head]

    def _warm(self, context: Context) -> Engine:
        """Return the engine, and create it at the first call."""
        import torch

        from ratio_hpo.training.engine import Engine

        if context.threads:
            torch.set_num_threads(context.threads)
        if self._engine is None:
            self._engine = Engine(
                self.design.base,
                self.design.heads,
                self.design.engine,
                vocabulary=self.design.vocabulary,
                seed=self.design.seed,
                device=context.device,
            )
        return self._engine
