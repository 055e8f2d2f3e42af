"""From options to a search that is ready to run: loaded, checked, prepared, planned. Trains nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ratio_hpo.backends.resources import Resources
from ratio_hpo.core.config import check_name
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.trial import Params
from ratio_hpo.core.urls import without_login
from ratio_hpo.experiment.anchors import make_anchors
from ratio_hpo.experiment.load import Loaded, load_experiment, load_space_for, name_study
from ratio_hpo.experiment.own import OwnExperimentSpec, import_objective, plan_own, plan_trial_of, resolve_own
from ratio_hpo.experiment.prepare import Prepared, largest_cost, largest_steps, prepare, source_designs
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.experiment.study_spec import StudySpec
from ratio_hpo.experiment.track import check_apart, store_key
from ratio_hpo.objective import CheckedObjective, Objective
from ratio_hpo.space import Space, load_space
from ratio_hpo.study import StudyPlan, Target
from ratio_hpo.training.model import checkpoint_bytes
from ratio_hpo.training.spec import sizes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """What to search, where and how.

    Attributes:
        experiment: name or path; None: the settings say it all.
        settings: laid over the experiment's keys, later ones over earlier ones.
        study: name of the study; None: `<experiment>-<space>`.
        hours, cost, failures: when to stop, beside the number of trials.
        tracking_uri: of an MLflow store; None: the SQLite one below `root`.
    """

    experiment: str | None = "polyglot-world"
    settings: tuple[Setting, ...] = ()
    study: str | None = None
    hours: float | None = None
    cost: float | None = None
    failures: int | None = None
    root: Path = Path("mlruns")
    storage: str | None = None
    data_dir: Path = Path("data")
    strict: bool = False
    keep_leaks: bool = False
    tracking: bool = True
    tracking_uri: str | None = None
    system_metrics: bool = False
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search that is ready to run.

    Attributes:
        plan_trial: what parameters come to, before anything is trained.
        prepared: data of an experiment with the built-in objective.
    """

    options: SearchOptions
    loaded: Loaded
    plan: StudyPlan
    objective: Objective
    plan_trial: Callable[[Params], dict[str, Any]]
    prepared: Prepared | None = None

    @property
    def experiment(self) -> StudySpec:
        return self.loaded.experiment

    @property
    def workers(self) -> int:
        """Trials at once."""
        bytes_ = checkpoint_bytes(self.prepared.design.base) if self.prepared is not None else None
        return self.options.resources.workers_for(bytes_)


def ready_search(
    options: SearchOptions,
    say: Callable[[str], None],
    *,
    objective: Objective | None = None,
    space: Space | None = None,
) -> Search:
    """Load, check and prepare; trains nothing and opens no study.

    Args:
        objective, space: of a user's own, at hand already; None: those that the experiment names.

    Raises:
        ConfigError, DataError: one line a mistake.
    """
    check_apart(options.storage, options.tracking_uri, options.root)
    loaded = load_experiment(options.experiment, options.settings)
    experiment = loaded.experiment
    if isinstance(experiment, OwnExperimentSpec):
        search = _ready_own(options, loaded, experiment, objective, space)
        if objective is not None or space is not None:
            search = replace(search, plan=replace(search.plan, about={**search.plan.about, "in_process": True}))
    else:
        search = _ready_built_in(options, loaded, experiment, say)
    for k, params in enumerate(experiment.enqueue):
        search.plan.space.check(params, f"{loaded.path or 'enqueue'}: enqueue.{k}")
    return search


def _ready_own(
    options: SearchOptions,
    loaded: Loaded,
    experiment: OwnExperimentSpec,
    objective: Objective | None,
    space: Space | None,
) -> Search:
    function = objective or import_objective(experiment.objective)
    resolved = resolve_own(experiment, space or load_space(experiment.space))
    name = check_name(options.study or name_study(experiment, resolved), "--study")
    plan = plan_own(experiment, resolved, name, experiment.seed)
    return Search(
        options=options,
        loaded=loaded,
        plan=_with_facts(plan, options, loaded),
        objective=CheckedObjective(function, plan.rungs, plan.languages),
        plan_trial=plan_trial_of(experiment.reference),
    )


def _ready_built_in(
    options: SearchOptions, loaded: Loaded, experiment: ExperimentSpec, say: Callable[[str], None]
) -> Search:
    sources = tuple(source_designs(experiment, experiment.stages.intermediate))
    space = load_space_for(experiment, sources)
    steps = largest_steps(experiment, space)
    prepared = prepare(
        experiment,
        cache=(options.root / "cache").resolve(),  # workers may run in another folder
        data_dir=options.data_dir,
        seed=experiment.seed,
        strict=options.strict,
        keep_leaks=options.keep_leaks,
        largest_steps=steps,
        say=say,
    )
    plan = _plan_built_in(options, experiment, space, prepared, steps)
    return Search(
        options=options,
        loaded=loaded,
        plan=_with_facts(plan, options, loaded),
        objective=prepared.pipeline,
        plan_trial=prepared.pipeline.plan,
        prepared=prepared,
    )


def _plan_built_in(
    options: SearchOptions, experiment: ExperimentSpec, space: Space, prepared: Prepared, steps: dict[str, int]
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
            "base": experiment.base.name,
            "evaluation_sets": [Path(f).name for parts in prepared.design.evaluation.values() for f in parts.values()],
            "leaks": [leak.line(kept=options.keep_leaks) for leak in prepared.leaks],
        },
    )


def _with_facts(plan: StudyPlan, options: SearchOptions, loaded: Loaded) -> StudyPlan:
    """The plan with what reports, `resume` and `export` need to know of the command and the experiment."""
    experiment = loaded.experiment
    about: Mapping[str, Any] = {
        **plan.about,
        "experiment": experiment.name,
        "space": plan.space.name,
        "reference": experiment.reference,
        "trials": experiment.trials,
        "keep": experiment.keep,
        "store": store_key(options.tracking_uri) if options.tracking else None,
        "tracking_uri": without_login(options.tracking_uri) if options.tracking_uri else None,
        "config": experiment.model_dump(mode="json"),
        "command": {
            "experiment": _lasting(options.experiment),
            "settings": [[s.key, _lasting_setting(s), s.source] for s in loaded.settings],
            "data_dir": str(options.data_dir.resolve()),
            "strict": options.strict,
            "keep_leaks": options.keep_leaks,
        },
    }
    return replace(plan, about=about, enqueue=tuple(experiment.enqueue))


def _lasting(name_or_path: str | None) -> str | None:
    """A name as it is; a path in a form that holds in any working folder."""
    if name_or_path is None or not Path(name_or_path).exists():
        return name_or_path
    return str(Path(name_or_path).resolve())


def _lasting_setting(setting: Setting) -> Any:
    """The value of a setting; names of files stay findable from any folder."""
    value = setting.value
    if setting.key == "base" and isinstance(value, dict):
        return {**value, "name": _lasting_path(value["name"])}
    return _lasting_path(value) if setting.key in ("space", "base") and isinstance(value, str) else value


def _lasting_path(text: str) -> str | None:
    return _lasting(text) if os.sep in text else text
