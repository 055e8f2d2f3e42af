"""Design of a study: everything a worker needs to turn parameters into stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ratio_hpo.core.plans import WINDOWS, SourcePlan, StagePlan
from ratio_hpo.core.trial import NO_INTERMEDIATE_PARAM, Params
from ratio_hpo.data.mixing import Mixture, MixtureStream, StageMixture, solve
from ratio_hpo.data.tasks import Head, Vocabulary
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.training.base_model import Base
from ratio_hpo.training.parameters import INTERMEDIATE, WHOLE_NUMBERS, owners
from ratio_hpo.training.spec import EngineSpec, Source, StageSpec, Target, TaskDesign, sizes_of
from ratio_hpo.training.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Design of a study, created once by the experiment.

    Attributes:
        base: Pretrained encoder.
        engine: Precision and batch sizes.
        seed: Seed of the initial heads; a trial's training seed is in its context.
        vocabulary: Special tokens and size of the vocabulary.
        tasks: Tasks by the name of their head, or of their target if they have no head.
        stages: Reference configuration of each stage: `intermediate`, then `target` or several `target.<name>`.
        sources: Sources of each stage, by name.
        targets: Targets that trials are scored on.
        rungs: Steps of each stage at which trials are compared.
        cost_unit: Unit of cost: `windows` or `tokens`.
    """

    base: Base
    engine: EngineSpec
    seed: int
    vocabulary: Vocabulary
    tasks: Mapping[str, TaskDesign]
    stages: Mapping[str, StageSpec]
    sources: Mapping[str, Mapping[str, Source]]
    targets: tuple[Target, ...]
    rungs: Mapping[str, tuple[int, ...]]
    cost_unit: str = WINDOWS

    @property
    def heads(self) -> list[Head]:
        """All heads that trials train or score, sorted by name."""
        return [task.head for _, task in sorted(self.tasks.items()) if task.head is not None]

    @property
    def window_folders(self) -> list[str]:
        """All window sets that trials train on or are scored on."""
        trained = {source.folder for group in self.sources.values() for source in group.values()}
        scored = {folder for t in self.targets for folder in (*t.folders.values(), *t.last.values())}
        return sorted(trained | scored)

    def make_stages(self, params: Params, seed: int, *, precision: str) -> list[tuple[Stage, StageMixture]]:
        """Return the stages of a trial with their solved mixtures; target stages branch from the intermediate stage."""
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
        sizes, requested = sizes_of(sources), params if name == INTERMEDIATE else {}
        solution = solve(sizes, spec.mixture_spec(), shares=requested.get("shares"), ratio=requested.get("ratio"))
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
            prints={source.head: self.tasks[source.head].identity for source in sources.values()},
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
        """Return the stage's reference configuration with the trial's parameters.

        Parameters of one stage (with a dot in their name) override parameters of all stages.
        """
        changes: Params = {}
        for parameter, value in sorted(params.items(), key=lambda item: "." in item[0]):
            for stage, key in owners(parameter, self.stages):
                if stage == name:
                    changes[key] = int(value) if key in WHOLE_NUMBERS else value
        if "temperature" in changes and "spread" not in changes:
            changes["spread"] = "temperature"
        return self.stages[name].model_copy(update=changes)


def plan_stage(
    stage: Stage, solution: StageMixture, sources: Mapping[str, Source], windows: Callable[[str], WindowSet]
) -> StagePlan:
    """Return the plan of a stage without training it: realised shares, epochs and caps."""
    stream, draws = MixtureStream(stage.mixture, stage.seed), stage.steps * stage.batch_size
    source, index = stream.take(0, draws)
    capped = stream.caps(draws)
    drawn = {name: index[source == k] for k, name in enumerate(stream.sources)}
    window_sets = {name: windows(sources[name].folder) for name in drawn}
    tokens = {name: int(window_sets[name].lengths(positions).sum()) for name, positions in drawn.items()}
    total_tokens = max(sum(tokens.values()), 1)
    plans = {
        name: SourcePlan(
            requested=float(solution.shares[name]),
            windows=len(positions),
            questions=len(set(window_sets[name].columns["item"][positions].tolist())),
            tokens=tokens[name],
            rows=window_sets[name].rows_among(positions),
            share_windows=len(positions) / max(draws, 1),
            share_tokens=tokens[name] / total_tokens,
            epochs=len(positions) / max(len(window_sets[name]), 1),
            task=sources[name].size.task,
            language=sources[name].language,
            capped=capped.get(name),
        )
        for name, positions in drawn.items()
    }
    labelled = {name: plan for name, plan in plans.items() if name not in stage.mixture.auxiliary}
    non_reference = [plan for name, plan in labelled.items() if name not in stage.mixture.reference]
    return StagePlan(
        steps=stage.steps,
        windows=draws,
        ratio=solution.requested_ratio,
        ratio_realised=_fraction([p.windows for p in non_reference], [p.windows for p in labelled.values()]),
        ratio_realised_tokens=_fraction([p.tokens for p in non_reference], [p.tokens for p in labelled.values()]),
        ratio_realised_all=_fraction(
            [p.windows for name, p in plans.items() if not sources[name].size.reference],
            [p.windows for p in plans.values()],
        ),
        sources=plans,
    )


def _fraction(part: list[int], whole: list[int]) -> float:
    return sum(part) / max(sum(whole), 1)
