"""All that a worker needs to run any trial of a study, and how parameters become stages and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ratio_hpo.core.plans import WINDOWS, SourcePlan, StagePlan
from ratio_hpo.core.trial import NO_INTERMEDIATE_PARAM, Params
from ratio_hpo.data.mixing import Mixture, MixtureStream, StageMixture, solve
from ratio_hpo.data.tasks import Head, TaskSettings, Vocabulary
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.training.base_model import Base
from ratio_hpo.training.parameters import INTERMEDIATE, WHOLE_NUMBERS, owners
from ratio_hpo.training.spec import EngineSpec, SourceData, StageSpec, sizes_of
from ratio_hpo.training.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDesign:
    """A task of a study, and the head that it is trained and scored with; the head is None on a layer."""

    task: str
    settings: TaskSettings
    labels: tuple[str, ...] = ()
    head: Head | None = None

    def print(self) -> Any:
        """What shapes the head."""
        return [self.task, self.head.auto_class if self.head else None, list(self.labels)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDesign:
    """A target of a study.

    Attributes:
        task: name in the design's tasks.
        metric: how it is scored, where its task knows several ways.
        stage: that is trained for it; None: it is scored on the intermediate stage alone.
        folders: window set of each (language, split); of a retrieval set one, under ("", "").
        last: those that the end of a trial is scored on beside, or in the place of, these: `test` of a confirmation.
    """

    name: str
    task: str
    primary: str
    metric: str
    languages: tuple[str, ...]
    folders: Mapping[tuple[str, str], str]
    weight: float = 1.0
    stage: str | None = None
    at_rungs: bool = True
    last: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Made once by the experiment.

    Attributes:
        tasks: by the name of their head, or of their target where they have none.
        stages: reference configuration of each stage: `intermediate`, then `target`, or several `target.<name>`.
        sources: of each stage, by name.
        seed: of the heads that are made first; a trial's own is in its context.
        rungs: steps of each stage at which trials are compared.
        cost_unit: what cost counts: `windows` or `tokens`.
    """

    base: Base
    engine: EngineSpec
    seed: int
    vocabulary: Vocabulary
    tasks: Mapping[str, TaskDesign]
    stages: Mapping[str, StageSpec]
    sources: Mapping[str, Mapping[str, SourceData]]
    targets: tuple[TargetDesign, ...]
    rungs: Mapping[str, tuple[int, ...]]
    cost_unit: str = WINDOWS

    @property
    def heads(self) -> list[Head]:
        """Every head that a trial may train or be scored with, by name."""
        return [task.head for _, task in sorted(self.tasks.items()) if task.head is not None]

    @property
    def window_folders(self) -> list[str]:
        """Every window set that a trial may train or be scored on."""
        trained = {source.folder for group in self.sources.values() for source in group.values()}
        scored = {folder for t in self.targets for folder in (*t.folders.values(), *t.last.values())}
        return sorted(trained | scored)

    def make_stages(self, params: Params, seed: int, *, precision: str) -> list[tuple[Stage, StageMixture]]:
        """The stages of a trial, each with what its mixture was solved to; target stages branch from the first one."""
        parent = self.base.identity
        stages = []
        for name in self.stages:
            if name == INTERMEDIATE and params.get(NO_INTERMEDIATE_PARAM):
                continue
            stage, solution = self._stage(name, params, seed, precision, parent)
            if name == INTERMEDIATE:
                parent = f"{stage.identity_at(stage.steps)}@{stage.steps}"
            stages.append((stage, solution))
        return stages

    def _stage(self, name: str, params: Params, seed: int, precision: str, parent: str) -> tuple[Stage, StageMixture]:
        spec, sources = self._spec(name, params), self.sources[name]
        sizes, asked = sizes_of(sources), params if name == INTERMEDIATE else {}
        solution = solve(sizes, spec.wanted(), shares=asked.get("shares"), ratio=asked.get("ratio"))
        mixture = Mixture(
            shares=solution.shares,
            sizes={key: size.windows for key, size in sizes.items()},
            reference=frozenset(key for key, size in sizes.items() if size.reference and not size.auxiliary),
            max_epochs=spec.max_epochs,
            auxiliary=frozenset(key for key, size in sizes.items() if size.auxiliary),
        )
        stage = Stage(
            name=name,
            heads={key: source.head for key, source in sources.items()},
            prints={source.head: self.tasks[source.head].print() for source in sources.values()},
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
            rungs=tuple(self.rungs[name]),
        )
        return stage, solution

    def _spec(self, name: str, params: Params) -> StageSpec:
        """The stage's reference configuration with the trial's parameters put in; those of this stage alone last."""
        changes: dict[str, Any] = {}
        for parameter, value in sorted(params.items(), key=lambda item: "." in item[0]):
            for stage, key in owners(parameter, self.stages):
                if stage == name:
                    changes[key] = int(value) if key in WHOLE_NUMBERS else value
        if "temperature" in changes and "spread" not in changes:
            changes["spread"] = "temperature"
        return self.stages[name].model_copy(update=changes)


def plan_stage(
    stage: Stage, solution: StageMixture, sources: Mapping[str, SourceData], windows: Callable[[str], WindowSet]
) -> StagePlan:
    """What a stage comes to before it is trained: shares, epochs, caps."""
    stream, draws = MixtureStream(stage.mixture, stage.seed), stage.steps * stage.batch_size
    source, index = stream.take(0, draws)
    capped = stream.caps(draws)
    drawn = {name: index[source == k] for k, name in enumerate(stream.sources)}
    opened = {name: windows(sources[name].folder) for name in drawn}
    tokens = {name: int(opened[name].lengths(chosen).sum()) for name, chosen in drawn.items()}
    whole = max(sum(tokens.values()), 1)
    plans = {
        name: SourcePlan(
            requested=float(solution.shares[name]),
            windows=len(chosen),
            questions=len(set(opened[name].columns["item"][chosen].tolist())),
            tokens=tokens[name],
            rows=opened[name].rows_among(chosen),
            share_windows=len(chosen) / max(draws, 1),
            share_tokens=tokens[name] / whole,
            epochs=len(chosen) / max(len(opened[name]), 1),
            task=sources[name].size.task,
            language=sources[name].language,
            capped=capped.get(name),
        )
        for name, chosen in drawn.items()
    }
    labelled = {name: plan for name, plan in plans.items() if name not in stage.mixture.auxiliary}
    others = [plan for name, plan in labelled.items() if name not in stage.mixture.reference]
    return StagePlan(
        steps=stage.steps,
        windows=draws,
        ratio=solution.requested_ratio,
        ratio_realised=_part([p.windows for p in others], [p.windows for p in labelled.values()]),
        ratio_realised_tokens=_part([p.tokens for p in others], [p.tokens for p in labelled.values()]),
        ratio_realised_all=_part(
            [p.windows for name, p in plans.items() if not sources[name].size.reference],
            [p.windows for p in plans.values()],
        ),
        sources=plans,
    )


def _part(some: list[int], every: list[int]) -> float:
    return sum(some) / max(sum(every), 1)
