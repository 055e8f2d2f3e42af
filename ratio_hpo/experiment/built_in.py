"""Experiments with the built-in objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ratio_hpo.core.errors import ConfigError, Mistakes
from ratio_hpo.core.fingerprint import Digests
from ratio_hpo.core.plans import WINDOWS, StudyMetadata
from ratio_hpo.data.mixing import SourceSize, reachable_ratios
from ratio_hpo.data.mixing.solve import check_budget, largest_steps, solve
from ratio_hpo.experiment.baselines import check_baselines, make_baselines
from ratio_hpo.experiment.load import Loaded, name_study
from ratio_hpo.experiment.prepare import Prepared, basis_of, prepare
from ratio_hpo.experiment.search_setup import DataFacts, RunOptions, Say, Search
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.objective import Design, Pipeline
from ratio_hpo.space import Ratio, Simplex, Space, Steps, load_space
from ratio_hpo.study import Baseline, StudyPlan
from ratio_hpo.training.base_model import checkpoint_bytes, find_base
from ratio_hpo.training.model import load_tokenizer
from ratio_hpo.training.parameters import INTERMEDIATE, check_parameters, owners, reference_values
from ratio_hpo.training.spec import Source, sizes_of
from ratio_hpo.training.stage import LOOKS_AHEAD


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """Experiment with the built-in objective, which trains an intermediate stage and target stages."""

    loaded: Loaded
    spec: ExperimentSpec

    def check(self) -> str:
        self.space()
        names = list(self.spec.targets)
        targets = f", {len(names)} targets" if len(names) > 1 else ""
        return f"on {len(self.spec.languages())} language(s){targets}"

    def source_names(self) -> tuple[str, ...]:
        return tuple(name for name, (task, _) in self._sources().items() if task != "mlm")

    def _sources(self) -> dict[str, tuple[str, str]]:
        """Return task and language of each source of the intermediate stage."""
        sources = self.spec.sources_of(self.spec.stages.intermediate)
        return {name: (self.spec.task_of(source.data[0]), source.language) for name, source in sources.items()}

    def needs(self, digests: Digests) -> tuple[str, int]:
        base = find_base(self.spec.base.name, self.spec.base.revision, digests)
        load_tokenizer(base, offline=True)
        return f"{base.name}: loads without a network", checkpoint_bytes(base)

    def space(self) -> Space:
        """Return the space in absolute values.

        Raises:
            ConfigError: A parameter is unknown, a simplex names unknown sources, or a ratio is too high.
        """
        mistakes, stages, sources = Mistakes(), self.spec.all_stages(), self._sources()
        labelled = {name: part for name, part in sources.items() if part[0] != "mlm"}
        with mistakes.among():
            check_baselines(self.spec.baselines, {task for task, _ in sources.values()})
        with mistakes.among():
            space = load_space(self.spec.space)
            with mistakes.among():
                check_parameters(space, stages)
            if "mlm_share" in space.parameters and len(labelled) == len(sources):
                raise ConfigError(
                    f"{space.source}: parameters.mlm_share: {self.spec.name} has no source of task mlm; remove it"
                )
        mistakes.tell()
        resolved = space.resolve(reference_values(stages), parts=labelled)
        shares, ratio = resolved.parameters.get("shares"), resolved.parameters.get("ratio")
        unknown = [part for part in (shares.parts if isinstance(shares, Simplex) else ()) if part not in labelled]
        if unknown:
            raise ConfigError(
                f"{space.source}: parameters.shares.parts: {unknown[0]} is not a source of {self.spec.name}; "
                f"known: {', '.join(labelled)}"
            )
        mixture_spec = self.spec.stages.intermediate.mixture_spec()
        if shares is not None:
            with _naming(f"{space.source}: parameters.shares"):
                check_budget(mixture_spec, ratio=None)
        elif isinstance(ratio, Ratio):
            with _naming(f"{space.source}: parameters.ratio.high"):
                check_budget(mixture_spec, ratio=ratio.high)
        return resolved

    def ready(self, options: RunOptions, say: Say) -> Search:
        if (options.resources.gpus or 0.0) > 1.0:
            raise ConfigError(
                f"⟨gpus_per_trial⟩: the built-in objective trains on one GPU, but got {options.resources.gpus:g}; "
                "set 1 or less, or use a custom objective"
            )
        space = self.space()
        prepared = prepare(
            self.spec,
            folder=options.folder,
            data_dir=options.data_dir,
            strict=options.strict,
            keep_leaks=options.keep_leaks,
            confirming=options.confirming,
            trusted=options.trust_remote_code,
            say=say,
        )
        sizes = sizes_of(prepared.sources[INTERMEDIATE])
        self._check_reachable(space, sizes)
        baselines = make_baselines(self.spec.baselines, self.spec.all_stages(), sizes, space)
        steps = self._largest_steps(space, sizes, baselines)
        stages = self.spec.all_stages()
        pipeline = Pipeline(
            Design(
                base=prepared.base,
                engine=self.spec.engine,
                seed=self.spec.seed,
                vocabulary=prepared.vocabulary,
                tasks=prepared.tasks,
                stages=stages,
                sources=prepared.sources,
                targets=prepared.targets,
                rungs={name: tuple(stages[name].rungs(num_steps)) for name, num_steps in steps.items()},
                cost_unit=self.spec.cost_unit,
            )
        )
        leaks = tuple(line for leak in prepared.leaks for line in leak.lines(kept=options.keep_leaks))
        return Search(
            options=options,
            spec=self.spec,
            plan=self._plan(options, space, prepared, baselines, pipeline.design, steps, leaks),
            objective=pipeline,
            plan_trial=pipeline.plan,
            data=DataFacts(sources=prepared.sources, splits=prepared.splits, problems=prepared.problems, leaks=leaks),
            checkpoint_bytes=checkpoint_bytes(prepared.base),
            tokenizer=prepared.tokenizer,
            calibrate=pipeline.calibrate,
            largest_windows=sum(num_steps * stages[name].batch_size for name, num_steps in steps.items()),
        )

    def _check_reachable(self, space: Space, sizes: Mapping[str, SourceSize]) -> None:
        """Check that `balance: task` can reach every ratio of the space.

        Raises:
            ConfigError: It cannot; the message names the reachable interval.
        """
        stage, ratio = self.spec.stages.intermediate, space.parameters.get("ratio")
        if stage.balance != "task" or not isinstance(ratio, Ratio):
            return
        caps, labelled = space.parameters.get("size_cap"), {k: s for k, s in sizes.items() if not s.auxiliary}
        splits = [stage.mixture_spec()]
        if isinstance(caps, Steps):
            splits = [replace(splits[0], size_cap=int(cap)) for cap in caps.values]
        reached = [reachable_ratios(labelled, split) for split in splits]
        low, high = max(low for low, _ in reached), min(high for _, high in reached)
        if ratio.low < low - 1e-9 or ratio.high > high + 1e-9:
            raise ConfigError(
                f"{space.source}: parameters.ratio: with balance `task` the data allows {low:.4g} to {high:.4g}, but "
                f"the space has {ratio.low:g} to {ratio.high:g}; set `low` and `high` within this range, or use "
                "balance `language`"
            )

    def _plan(
        self,
        options: RunOptions,
        space: Space,
        prepared: Prepared,
        baselines: tuple[Baseline, ...],
        design: Design,
        steps: Mapping[str, int],
        leaks: tuple[str, ...],
    ) -> StudyPlan:
        spec = self.spec
        if spec.target.score is None and not (baselines and baselines[0].kind.startswith("reference_only")):
            raise ConfigError(
                f"{spec.name}: target: needs `score`, because the data has no {spec.reference} source; set it"
            )
        batch = {name: stage.batch_size for name, stage in design.stages.items()}
        sets = [folder for target in prepared.targets for folder in (*target.folders.values(), *target.last.values())]
        return StudyPlan(
            name=name_study(spec, space) if options.study is None else options.study,
            basis=basis_of(spec, prepared),
            space=space,
            rungs={name: tuple(step * batch[name] for step in grid) for name, grid in design.rungs.items()},
            target=spec.target,
            baselines=baselines,
            largest_cost=float(
                sum(
                    num_steps * batch[name] * self._largest_window(prepared.sources[name])
                    for name, num_steps in steps.items()
                )
            ),
            languages=tuple(spec.languages()),
            seed=spec.seed,
            sources=sizes_of(prepared.sources[INTERMEDIATE]),
            looks_ahead=any(stage.schedule in LOOKS_AHEAD for stage in design.stages.values())
            or "schedule" in space.parameters,
            about=StudyMetadata(
                experiment=spec.name,
                space=space.name,
                base=spec.base.name,
                measure=self._measure(),
                cost_unit=spec.cost_unit,
                targets={target.name: target.weight for target in prepared.targets},
                primaries={target.name: target.primary for target in prepared.targets},
                evaluation_sets=tuple(Path(folder).name for folder in sets),
                leaks=leaks,
                problems=prepared.problems,
            ),
        )

    def _largest_window(self, sources: Mapping[str, Source]) -> int:
        """Return the largest cost of one window of a stage, in the study's cost unit."""
        return 1 if self.spec.cost_unit == WINDOWS else max(source.longest for source in sources.values())

    def _measure(self) -> str:
        """Return the display name of the primary score."""
        targets = list(self.spec.all_targets().values())
        if len(targets) > 1:
            return "score"
        name = self.spec.primary(targets[0])
        return {"f1": "F1", "em": "EM"}.get(name, name)

    def _largest_steps(
        self, space: Space, sizes: Mapping[str, SourceSize], baselines: tuple[Baseline, ...]
    ) -> dict[str, int]:
        """Return the largest number of steps of each stage over all trials of the space and all baselines.

        Raises:
            ConfigError: The space's largest ratio is too high for `budget: add`.
        """
        stages = self.spec.all_stages()
        max_steps = {name: stage.steps for name, stage in stages.items()}
        for parameter, domain in space.parameters.items():
            for name, key in owners(parameter, stages):
                if key == "steps" and isinstance(domain, Steps):
                    max_steps[name] = max(max_steps[name], int(max(domain.values)))
        mixture_spec = self.spec.stages.intermediate.mixture_spec()
        ratio = space.parameters.get("ratio")
        if isinstance(ratio, Ratio):
            with _naming(f"{space.source}: parameters.ratio.high"):
                max_steps[INTERMEDIATE] = largest_steps(
                    sizes,
                    replace(mixture_spec, steps=max_steps[INTERMEDIATE]),
                    ratio.high,
                    spread_varies=bool({"spread", "temperature", "size_cap"} & set(space.parameters)),
                )
        # a baseline may lie outside the space
        shares = [baseline.params["shares"] for baseline in baselines if "shares" in baseline.params]
        steps = [solve(sizes, mixture_spec, shares=of_baseline).steps for of_baseline in shares]
        return {**max_steps, INTERMEDIATE: max([max_steps[INTERMEDIATE], *steps])}


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Name the key of the space in errors of the block."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error
