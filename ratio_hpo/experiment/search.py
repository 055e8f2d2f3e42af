"""A search, wired: experiment, data, study, backend, tracking."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from ratio_hpo.backends.driver import Budget, Session
from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.resources import Resources
from ratio_hpo.core.config import check_name
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.experiment.anchors import make_anchors
from ratio_hpo.experiment.load import load_experiment, load_space_for, name_study
from ratio_hpo.experiment.prepare import Prepared, largest_cost, largest_steps, prepare, source_designs
from ratio_hpo.experiment.spec import BaseSpec, Experiment
from ratio_hpo.space import Space
from ratio_hpo.study import Study, StudyPlan, Target
from ratio_hpo.study.keeper import WeightKeeper
from ratio_hpo.study.pruning import check_pruner
from ratio_hpo.study.samplers import check_sampler
from ratio_hpo.study.storage import default_url, open_storage
from ratio_hpo.study.study import FirstTrialFailed
from ratio_hpo.training.design import sizes_of

Watch = Callable[[Sequence[TrialRecord]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Where and how to run; None: what the experiment says."""

    experiment: str = "polyglot-world"
    space: str | None = None
    base: str | None = None
    study: str | None = None
    seed: int | None = None
    sampler: str | None = None
    pruner: str | None = None
    trials: int | None = None
    hours: float | None = None
    cost: float | None = None
    failures: int | None = None
    root: Path = Path("mlruns")
    storage: str | None = None
    data_dir: Path = Path("data")
    strict: bool = False
    keep_leaks: bool = False
    tracking: bool = True
    resources: Resources = field(default_factory=Resources)


@dataclass(slots=True)
class Search:
    """A search that is ready to run."""

    options: SearchOptions
    experiment: Experiment
    space: Space
    prepared: Prepared
    plan: StudyPlan

    @property
    def trials(self) -> int:
        return self.options.trials or self.experiment.trials


class Progress(Protocol):
    """Who is shown how a search goes."""

    def say(self, line: str) -> None: ...

    def running(self, search: Search, study: Study) -> AbstractContextManager[Watch]: ...


def ready_search(options: SearchOptions, say: Callable[[str], None]) -> Search:
    """Load, check and prepare; trains nothing and opens no study.

    Raises:
        ConfigError, DataError: one line a mistake.
    """
    experiment, _ = load_experiment(options.experiment)
    if options.base is not None:
        name, _, revision = options.base.partition("@")
        experiment = experiment.model_copy(update={"base": BaseSpec(name=name, revision=revision or None)})
    sources = tuple(source_designs(experiment, experiment.stages.intermediate))
    space = load_space_for(experiment, options.space, sources)
    check_sampler(options.sampler or experiment.sampler.name)
    check_pruner(options.pruner or experiment.pruner.name, {}, experiment.target_languages)
    steps = largest_steps(experiment, space)
    prepared = prepare(
        experiment,
        cache=(options.root / "cache").resolve(),  # workers may run in another folder
        data_dir=options.data_dir,
        seed=experiment.seed if options.seed is None else options.seed,
        strict=options.strict,
        keep_leaks=options.keep_leaks,
        largest_steps=steps,
        say=say,
    )
    return Search(options, experiment, space, prepared, _plan(options, experiment, space, prepared, steps))


def run_search(options: SearchOptions, progress: Progress) -> tuple[Search, list[TrialRecord]]:
    """Run or continue a search until its budget is spent.

    Raises:
        RatioHpoError: bad input, a study of another identity, or trial 0 failed.
        KeyboardInterrupt: everything is kept.
    """
    search = ready_search(options, progress.say)
    for line in [*search.prepared.problems, *(k.line(kept=options.keep_leaks) for k in search.prepared.leaks)]:
        progress.say(line)
    workers = options.resources.workers_for(search.prepared.design)
    study = open_for(search, workers)
    try:
        failure = study.first_failure()
        if failure:
            raise FirstTrialFailed(
                f"study {search.plan.name}: trial 0, which sets the target, failed: {failure}; mend its cause and "
                f"start anew with --study {search.plan.name}-2"
            )
        if study.is_done(search.trials):
            progress.say(f"study {search.plan.name}: all {search.trials} trials are done; ask for more with --trials")
        _run(search, study, workers, progress)
        return search, study.records()
    finally:
        study.close()


def open_for(search: Search, workers: int) -> Study:
    """The study of a search, opened for work."""
    options, experiment = search.options, search.experiment
    storage = open_storage(options.storage or default_url(options.root))
    chosen_sampler = (options.sampler, {}) if options.sampler else (experiment.sampler.name, experiment.sampler.options)
    chosen_pruner = (options.pruner, {}) if options.pruner else (experiment.pruner.name, experiment.pruner.options)
    settings = {
        "backend": options.resources.backend_for(workers),
        "workers": workers,
        "seed": search.plan.seed,
        "versions": _versions(),
    }
    return Study(
        search.plan,
        storage,
        sampler=chosen_sampler,
        pruner=chosen_pruner,
        settings=settings,
        plan_trial=search.prepared.pipeline.plan,
    )


def _run(search: Search, study: Study, workers: int, progress: Progress) -> None:
    options, resources = search.options, search.options.resources
    budget = Budget(trials=search.trials, hours=options.hours, cost=options.cost, failures=options.failures)
    with ExitStack() as stack:
        if options.tracking:
            from ratio_hpo.experiment.track import tracking_beside

            stack.enter_context(tracking_beside(study, options.root, search.experiment.name, progress.say))
        session = Session(
            study=study,
            budget=budget,
            root=(options.root / "stages").resolve(),
            device=resources.device,
            threads=resources.threads_for(workers),
            store_gb=search.experiment.store_gb,
            watch=stack.enter_context(progress.running(search, study)),
            keeper=WeightKeeper(options.root / "checkpoints" / search.plan.name, search.prepared.tokenizer),
        )
        study.live.start_renewing()
        if study.is_done(search.trials):
            return
        if resources.backend_for(workers) == "ray":
            from ratio_hpo.backends.ray import run_ray

            run_ray(session, search.prepared.pipeline, workers, resources)
        else:
            run_local(session, search.prepared.pipeline)


def _plan(
    options: SearchOptions, experiment: Experiment, space: Space, prepared: Prepared, steps: dict[str, int]
) -> StudyPlan:
    anchors = make_anchors(
        experiment.anchors, experiment.stages, sizes_of(prepared.design.sources["intermediate"]), space
    )
    target = Target(f1=experiment.target.f1, fraction=experiment.target.fraction)
    if target.f1 is None and not (anchors and anchors[0].kind.startswith("english")):
        raise ConfigError(
            f"{experiment.name}: target: needs `f1`, since the data has no {experiment.reference} to set it"
        )
    identity = {
        **prepared.identity,
        "space": space.to_json(),
        "target": experiment.target.model_dump(),
        "anchors": list(experiment.anchors),
        "seed": prepared.design.seed,
    }
    batch = {name: getattr(experiment.stages, name).batch_size for name in ("intermediate", "target")}
    return StudyPlan(
        name=check_name(options.study or name_study(experiment, space), "--study"),
        identity=identity,
        space=space,
        rungs={name: tuple(s * batch[name] for s in grid) for name, grid in prepared.design.rungs.items()},
        target=target,
        anchors=anchors,
        largest_cost=largest_cost(experiment, steps),
        languages=tuple(experiment.target_languages),
        seed=prepared.design.seed,
        about={
            "experiment": experiment.name,
            "space": space.name,
            "command": {
                "experiment": _lasting(options.experiment),
                "space": _lasting(options.space),
                "base": _lasting(options.base),
                "seed": options.seed,
                "data_dir": str(options.data_dir.resolve()),
                "strict": options.strict,
                "keep_leaks": options.keep_leaks,
            },
            "base": experiment.base.name,
            "reference": experiment.reference,
            "trials": options.trials or experiment.trials,
            "sampler": options.sampler,
            "pruner": options.pruner,
            "leaks": [leak.line(kept=options.keep_leaks) for leak in prepared.leaks],
        },
    )


def _lasting(name_or_path: str | None) -> str | None:
    """A name as it is; a path in a form that holds in any working folder."""
    if name_or_path is None or not Path(name_or_path).exists():
        return name_or_path
    return str(Path(name_or_path).resolve())


def _versions() -> dict[str, Any]:
    names = ("ratio-hpo", "torch", "transformers", "optuna", "ray", "mlflow")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
