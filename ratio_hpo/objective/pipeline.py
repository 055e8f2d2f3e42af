"""The built-in objective: parameters become two stages, the stages a stream of progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratio_hpo.core.trial import Context, Params, Progress, Spent
from ratio_hpo.data.mixing import Mixture, MixtureStream, mixture_shares
from ratio_hpo.data.tasks import load_task
from ratio_hpo.data.windows import WindowSet, WindowSpec, open_windows
from ratio_hpo.training.model import Base, checkpoint_bytes
from ratio_hpo.training.parameters import INTERMEDIATE, PARAMETERS, TARGET, WHOLE_NUMBERS
from ratio_hpo.training.spec import EngineSpec, SourceData, StageSpec, StagesSpec, sizes_of, steps_with_budget
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
        evaluation: window set of each target language and split.
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
    rungs: Mapping[str, tuple[int, ...]]


class Pipeline:
    """The built-in objective. The engine is made at the first trial and kept for the next ones."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self._engine: Engine | None = None
        self._evaluation: Evaluation | None = None
        self._opened: dict[str, WindowSet] = {}

    def plan(self, params: Params) -> dict[str, Any]:
        """What parameters come to, before anything is trained: shares, epochs, caps, steps and cost."""
        specs = self._specs(params, precision="")
        stages = {spec.name: self._stage_plan(spec, params) for spec in specs}
        middle = stages[INTERMEDIATE]
        return {
            "ratio": middle["ratio"],
            "ratio_realised": middle["ratio_realised"],
            "cost": sum(spec.steps * spec.batch_size for spec in specs),
            "stages": stages,
        }

    def __call__(self, params: Params, context: Context) -> Iterator[Progress]:
        from ratio_hpo.training.store import StageStore, store_budget

        engine, evaluation = self._warm(context)
        engine.reset()
        room = checkpoint_bytes(self.design.base) or 3 * 4 * engine.num_parameters
        store = StageStore(Path(context.root), store_budget(context.store_gb, room))
        store.sweep()
        store.check_room(room)
        totals = _Totals(spent=context.spent)
        system = SystemMeasures() if context.system_metrics else None
        specs = self._specs(params, precision=engine.precision)
        for spec in specs:
            seconds = tokens = 0.0
            before = totals.spent
            final = spec is specs[-1]
            inexact = totals.inexact
            sources = self._windows(spec.name)
            for point in engine.train(spec, sources, store, evaluation, final=final, inexact=inexact):
                totals.inexact = bool(point.measures["inexact"])
                seconds, tokens = point.measures["seconds"], point.measures["tokens"]
                flops = 6.0 * engine.num_parameters * point.spent_tokens
                totals.spent = before + replace(point.spent, flops=flops)
                if point.scores:
                    windows = point.step * spec.batch_size
                    measured = system.read() if system is not None else {}
                    yield Progress(
                        stage=spec.name,
                        windows=windows,
                        cost=totals.cost + windows,
                        scores=dict(point.scores),
                        paid=totals.spent.windows,
                        measures={**totals.measures(point.measures, engine.num_parameters), **measured},
                        weights=point.weights,
                    )
            totals.cost += spec.steps * spec.batch_size
            totals.seconds += seconds
            totals.tokens += tokens

    def calibrate(self, params: Params, context: Context) -> Calibration:
        """Time a few steps and a small evaluation on this machine; stores nothing."""
        from ratio_hpo.training.calibration import calibrate

        engine, evaluation = self._warm(context)
        spec = self._specs(params, precision=engine.precision)[0]
        return calibrate(engine, spec, self._windows(spec.name), evaluation)

    def _specs(self, params: Params, *, precision: str) -> list[Stage]:
        parent = self.design.base.identity
        specs = []
        for name in (INTERMEDIATE, TARGET):
            spec = self._spec(name, params, precision, parent)
            parent = f"{spec.identity_at(spec.steps)}@{spec.steps}"
            specs.append(spec)
        return specs

    def _spec(self, name: str, params: Params, precision: str, parent: str) -> Stage:
        stage, sources = self._stage(name, params), self.design.sources[name]
        mixture, _ = self._mixture(name, stage, params)
        budget = stage.budget if name == INTERMEDIATE else "replace"
        return Stage(
            name=name,
            task=self.design.task,
            mixture=mixture,
            data={key: source.fingerprint for key, source in sources.items()},
            unit=stage.unit,
            steps=steps_with_budget(stage.steps, _window_ratio(mixture), budget),
            batch_size=stage.batch_size,
            learning_rate=stage.learning_rate,
            schedule=stage.schedule,
            warmup=stage.warmup,
            weight_decay=stage.weight_decay,
            clip=stage.clip,
            seed=self.design.seed,
            precision=precision,
            parent=parent,
            rungs=tuple(self.design.rungs[name]),
        )

    def _stage(self, name: str, params: Params) -> StageSpec:
        """The stage's reference configuration with the trial's parameters put in."""
        stage: StageSpec = getattr(self.design.stages, name)
        changes: dict[str, Any] = {}
        for parameter, (owner, key) in PARAMETERS.items():
            if owner == name and parameter in params:
                changes[key] = int(params[parameter]) if key in WHOLE_NUMBERS else params[parameter]
        if "temperature" in changes and "spread" not in changes:
            changes["spread"] = "temperature"
        return stage.model_copy(update=changes)

    def _mixture(self, name: str, stage: StageSpec, params: Params) -> tuple[Mixture, float]:
        """The mixture in window shares, and the ratio that was asked for."""
        sizes = sizes_of(self.design.sources[name])
        asked = params if name == INTERMEDIATE else {}
        shares = mixture_shares(
            sizes,
            shares=asked.get("shares"),
            ratio=asked.get("ratio"),
            spread=stage.spread,
            unit=stage.unit,
            draws=stage.steps * stage.batch_size,
            temperature=stage.temperature,
        )
        others = [key for key, size in sizes.items() if not size.reference]
        explicit = asked.get("shares") or shares
        ratio = asked.get("ratio", sum(explicit.get(key, 0.0) for key in others))
        mixture = Mixture(
            shares=shares,
            sizes={key: size.windows for key, size in sizes.items()},
            reference=frozenset(key for key, size in sizes.items() if size.reference),
            max_epochs=stage.max_epochs,
        )
        return mixture, float(ratio)

    def _stage_plan(self, spec: Stage, params: Params) -> dict[str, Any]:
        stream, draws = MixtureStream(spec.mixture, spec.seed), spec.steps * spec.batch_size
        source, index = stream.take(0, draws)
        windows = self._windows(spec.name)
        realised: dict[str, dict[str, float]] = {}
        for k, name in enumerate(stream.sources):
            drawn, opened = index[source == k], windows[name]
            lengths = opened.bounds[drawn + 1] - opened.bounds[drawn]
            realised[name] = {
                "windows": len(drawn),
                "questions": len(set(opened.columns["question"][drawn].tolist())),
                "tokens": int(lengths.sum()),
                "epochs": len(drawn) / max(len(opened), 1),
            }
        for unit in ("windows", "tokens"):
            whole = max(sum(entry[unit] for entry in realised.values()), 1)
            for entry in realised.values():
                entry[f"share_{unit}"] = entry[unit] / whole
        _, ratio = self._mixture(spec.name, self._stage(spec.name, params), params)
        others = [key for key in realised if key not in spec.mixture.reference]
        return {
            "steps": spec.steps,
            "windows": draws,
            "ratio": ratio,
            "ratio_realised": sum(realised[key]["share_windows"] for key in others),
            "ratio_realised_tokens": sum(realised[key]["share_tokens"] for key in others),
            "requested": {key: float(share) for key, share in spec.mixture.shares.items()},
            "realised": realised,
            "capped": stream.caps(draws),
        }

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


def _window_ratio(mixture: Mixture) -> float:
    return sum(share for name, share in mixture.shares.items() if name not in mixture.reference)


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
