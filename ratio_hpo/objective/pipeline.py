"""The built-in objective: parameters become two stages, the stages a stream of progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.plans import SourcePlan, StagePlan, TrialPlan
from ratio_hpo.core.trial import Context, Params, Progress, Spent
from ratio_hpo.data.mixing import Mixture, MixtureStream, Solution, solve
from ratio_hpo.data.tasks import load_task
from ratio_hpo.data.windows import WindowSet, WindowSpec, open_windows
from ratio_hpo.training.base import Base, checkpoint_bytes
from ratio_hpo.training.parameters import INTERMEDIATE, PARAMETERS, TARGET, WHOLE_NUMBERS
from ratio_hpo.training.spec import EngineSpec, SourceData, StageSpec, StagesSpec, sizes_of
from ratio_hpo.training.stage import Stage
from ratio_hpo.training.system import SystemMeasures

if TYPE_CHECKING:
    from ratio_hpo.training.calibration import Calibration
    from ratio_hpo.training.engine import Engine
    from ratio_hpo.training.evaluation import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """All that a worker needs to run any trial of a study; made once by the experiment.

    Attributes:
        sources: of each stage, by name.
        evaluation: window set of each target language and split that trials are scored on.
        test: window set of each target language that only a confirmation reads.
        seed: of the head that is made first; a trial's own is in its context.
        rungs: steps of each stage at which trials are compared.
    """

    base: Base
    task: str
    windows: WindowSpec
    engine: EngineSpec
    metric: str
    seed: int
    pad: int
    token_types: bool
    stages: StagesSpec
    sources: Mapping[str, Mapping[str, SourceData]]
    evaluation: Mapping[str, Mapping[str, str]]
    test: Mapping[str, str]
    rungs: Mapping[str, tuple[int, ...]]


class Pipeline:
    """The built-in objective. The engine is made at the first trial and kept for the next ones."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self._engine: Engine | None = None
        self._evaluation: Evaluation | None = None
        self._opened: dict[str, WindowSet] = {}

    def plan(self, params: Params, seed: int) -> TrialPlan:
        """What parameters come to, before anything is trained: shares, epochs, caps, steps and cost."""
        stages = self._stages(params, seed, precision="")
        plans = {stage.name: self._plan_stage(stage, solution) for stage, solution in stages}
        return TrialPlan(
            ratio=plans[INTERMEDIATE].ratio,
            ratio_realised=plans[INTERMEDIATE].ratio_realised,
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
        totals = _Totals(spent=context.spent)
        system = SystemMeasures() if context.system_metrics else None
        stages = [stage for stage, _ in self._stages(params, context.seed, precision=engine.precision)]
        for stage in stages:
            seconds = tokens = 0.0
            before = totals.spent
            final = stage is stages[-1]
            for point in loop.run(stage, self._windows(stage.name), final=final, inexact=totals.inexact):
                totals.inexact = bool(point.measures["inexact"])
                seconds, tokens = point.measures["seconds"], point.measures["tokens"]
                flops = 6.0 * engine.num_parameters * point.spent_tokens
                totals.spent = before + replace(point.spent, flops=flops)
                if point.scores:
                    windows = point.step * stage.batch_size
                    measured = system.read() if system is not None else {}
                    yield Progress(
                        stage=stage.name,
                        windows=windows,
                        cost=totals.cost + windows,
                        scores=dict(point.scores),
                        paid=totals.spent.windows,
                        measures={**totals.measures(point.measures, engine.num_parameters), **measured},
                        weights=point.weights,
                        items=point.items,
                    )
            totals.cost += stage.steps * stage.batch_size
            totals.seconds += seconds
            totals.tokens += tokens

    def calibrate(self, params: Params, context: Context) -> Calibration:
        """Time a few steps and a small evaluation on this machine; stores nothing."""
        from ratio_hpo.training.calibration import calibrate

        engine, evaluation = self._warm(context)
        stage, _ = self._stages(params, context.seed, precision=engine.precision)[0]
        return calibrate(engine, stage, self._windows(stage.name), evaluation)

    def _stages(self, params: Params, seed: int, *, precision: str) -> list[tuple[Stage, Solution]]:
        """The stages of a trial in order, each with what its mixture was solved to."""
        parent = self.design.base.identity
        stages = []
        for name in (INTERMEDIATE, TARGET):
            stage, solution = self._stage(name, params, seed, precision, parent)
            parent = f"{stage.identity_at(stage.steps)}@{stage.steps}"
            stages.append((stage, solution))
        return stages

    def _stage(self, name: str, params: Params, seed: int, precision: str, parent: str) -> tuple[Stage, Solution]:
        spec, sources = self._spec(name, params), self.design.sources[name]
        sizes, asked = sizes_of(sources), params if name == INTERMEDIATE else {}
        solution = solve(sizes, spec.wanted(), shares=asked.get("shares"), ratio=asked.get("ratio"))
        mixture = Mixture(
            shares=solution.shares,
            sizes={key: size.windows for key, size in sizes.items()},
            reference=frozenset(key for key, size in sizes.items() if size.reference),
            max_epochs=spec.max_epochs,
        )
        stage = Stage(
            name=name,
            task=self.design.task,
            mixture=mixture,
            data={key: source.fingerprint for key, source in sources.items()},
            unit=spec.unit,
            steps=solution.steps,
            batch_size=spec.batch_size,
            learning_rate=spec.learning_rate,
            schedule=spec.schedule,
            warmup=spec.warmup,
            weight_decay=spec.weight_decay,
            clip=spec.clip,
            seed=seed,
            precision=precision,
            parent=parent,
            rungs=tuple(self.design.rungs[name]),
        )
        return stage, solution

    def _spec(self, name: str, params: Params) -> StageSpec:
        """The stage's reference configuration with the trial's parameters put in."""
        spec: StageSpec = getattr(self.design.stages, name)
        changes: dict[str, Any] = {}
        for parameter, (owner, key) in PARAMETERS.items():
            if owner == name and parameter in params:
                changes[key] = int(params[parameter]) if key in WHOLE_NUMBERS else params[parameter]
        if "temperature" in changes and "spread" not in changes:
            changes["spread"] = "temperature"
        return spec.model_copy(update=changes)

    def _plan_stage(self, stage: Stage, solution: Solution) -> StagePlan:
        stream, draws = MixtureStream(stage.mixture, stage.seed), stage.steps * stage.batch_size
        source, index = stream.take(0, draws)
        windows, capped = self._windows(stage.name), stream.caps(draws)
        drawn = {name: index[source == k] for k, name in enumerate(stream.sources)}
        tokens = {name: int(windows[name].lengths(chosen).sum()) for name, chosen in drawn.items()}
        whole = max(sum(tokens.values()), 1)
        sources = {
            name: SourcePlan(
                requested=float(solution.shares[name]),
                windows=len(chosen),
                questions=len(set(windows[name].columns["question"][chosen].tolist())),
                tokens=tokens[name],
                share_windows=len(chosen) / max(draws, 1),
                share_tokens=tokens[name] / whole,
                epochs=len(chosen) / max(len(windows[name]), 1),
                capped=capped.get(name),
            )
            for name, chosen in drawn.items()
        }
        others = [plan for name, plan in sources.items() if name not in stage.mixture.reference]
        return StagePlan(
            steps=stage.steps,
            windows=draws,
            ratio=solution.asked_ratio,
            ratio_realised=sum(plan.share_windows for plan in others),
            ratio_realised_tokens=sum(plan.share_tokens for plan in others),
            sources=sources,
        )

    def _windows(self, stage: str) -> dict[str, WindowSet]:
        return {name: self._open(source.folder) for name, source in self.design.sources[stage].items()}

    def _open(self, folder: str) -> WindowSet:
        if folder not in self._opened:
            self._opened[folder] = open_windows(folder)
        return self._opened[folder]

    def _warm(self, context: Context) -> tuple[Engine, Evaluation]:
        """The engine and the evaluation, made at the first call."""
        import torch

        from ratio_hpo.training.engine import Engine
        from ratio_hpo.training.evaluation import Evaluation

        if context.threads:
            torch.set_num_threads(context.threads)
        design = self.design
        if self._engine is None or self._evaluation is None:
            task = load_task(design.task)
            self._evaluation = Evaluation(design.evaluation, task, design.windows, design.metric)
            self._engine = Engine(
                design.base,
                task,
                design.engine,
                pad=design.pad,
                token_types=design.token_types,
                seed=design.seed,
                device=context.device,
            )
        return self._engine, self._evaluation


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
