"""Searching from Python: an experiment, or an objective of your own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ratio_hpo.api.loaded import LoadedStudy, load_study
from ratio_hpo.backends.resources import Resources
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.trial import Params
from ratio_hpo.experiment.build_search import build_search
from ratio_hpo.experiment.search import ProgressCallback, run_search
from ratio_hpo.experiment.search_setup import Search, SearchOptions
from ratio_hpo.objective import Objective
from ratio_hpo.show.live import Display
from ratio_hpo.space import Domain, Space
from ratio_hpo.study import Study


def search(
    objective: Objective | str | None = None,
    space: Mapping[str, Domain] | Space | str | None = None,
    *,
    experiment: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    data_dir: str | Path = "data",
    rungs: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    study: str | None = None,
    trials: int | None = None,
    target: float | None = None,
    measure: str | None = None,
    weights: Mapping[str, float] | None = None,
    reference: str | None = None,
    values: Mapping[str, Any] | None = None,
    baselines: Sequence[str] | None = None,
    enqueue: Sequence[Params] | None = None,
    sampler: str | None = None,
    pruner: str | None = None,
    seed: int | None = None,
    workers: int | None = 1,
    backend: Literal["auto", "local", "ray"] = "auto",
    gpus_per_trial: float | None = None,
    max_hours: float | None = None,
    trial_timeout: float | None = None,
    stall_timeout: float | None = None,
    max_cost: float | None = None,
    max_failures: int | None = 5,
    max_retries: int = 3,
    largest_cost: float | None = None,
    languages: Sequence[str] | None = None,
    identity: Mapping[str, Any] | None = None,
    root: str | Path = "mlruns",
    storage: str | None = None,
    tracking: bool = True,
    tracking_uri: str | None = None,
    isolated: bool = True,
    progress: bool = True,
) -> LoadedStudy:
    """Search a space with an experiment, or with an objective of your own. The same call again continues the study.

    What is None is as the experiment says, or the default of `docs/spaces.md`.

    Args:
        objective: a generator of `Progress`, called with (params, context); or `package.module:function`. None: the
            built-in one, which trains the stages of `experiment`.
        space: domains by parameter, a `Space`, or the name or path of one. The share of what is not the reference is
            called `ratio` (a `Ratio`), or `shares` (a `Simplex` with named parts). With an experiment, a name or path.
        experiment: name or path of an experiment file: `search(experiment="polyglot-world")` is the main job of
            `ratio-hpo search`.
        settings: any other keys of the experiment, as `-S` sets them: `{"stages.target.steps": 80}`.
        data_dir: the folder that paths in the experiment start from.
        rungs: windows at which every trial yields an evaluation: of the stage `target`, or by stage, in order.
        study: its name; None: the function's name.
        trials: in the study in all, baselines included.
        target: mean F1 that trials are timed to; None: 0.95 of the last mean F1 of the English-only baseline.
        measure: what `<measure>/<language>` the objective yields, where it yields no `score/<language>` itself.
        weights: of languages in the mean that trials are compared by; None: all weigh the same.
        reference: the part of a simplex whose share is 1 - ratio.
        values: reference values of the other parameters: baselines take them, and domains are factors of them. A
            parameter without one is absolute, and baselines take the middle of its domain.
        baselines: mixtures that run first and are never pruned.
        enqueue: parameters to try right after the baselines.
        workers: trials at once, more than one of them on Ray; None: as many as fit.
        max_hours: stop after so many hours; trials that run are let go, and go on with the next call.
        trial_timeout: minutes that a trial may take; one that takes longer is FAIL.
        stall_timeout: minutes that a trial may go without an evaluation; then it goes on in another process.
        max_cost: start no trial once the study has trained so much, in windows.
        max_failures: trials in a row that fail with the same error, at which the search stops; None: no limit.
        max_retries: of a trial whose process dies, and of Ray, without a new evaluation in between.
        largest_cost: most windows that a trial can cost; None: the sum of the last rungs.
        identity: anything whose change makes it another study (data, model, version of the code).
        tracking: whether to write to MLflow, below `root` or at `tracking_uri`.
        isolated: whether a single worker runs the objective in a process of its own, so that nothing that takes that
            process down ends the search; False runs it in this one, for debuggers and for what cannot be pickled.
        progress: whether to show how it goes, on stderr.

    Returns:
        The study, as `load_study` gives it.

    Raises:
        ConfigError: what breaks a rule, one line each; neither objective nor experiment, or arguments of the other one.
        StudyError: a study of that name has another identity.
        FirstTrialFailed: trial 0, which sets the target, failed.
        TooManyFailures: `max_failures` in a row, with the same error.

    Examples:
        >>> from ratio_hpo import Progress, Ratio
        >>> def train(params, context):
        ...     for windows in (100, 200):
        ...         score = 0.6 + 0.1 * params["ratio"] + windows / 10_000
        ...         yield Progress(stage="target", windows=windows, cost=windows, scores={"f1/mean": score})
        >>> study = search(
        ...     train, {"ratio": Ratio()}, rungs=[100, 200], trials=4, pruner="none", root=folder, tracking=False,
        ...     isolated=False, progress=False,
        ... )
        >>> study.status()["counts"]["COMPLETE"]
        4
    """
    if objective is None and experiment is None:
        raise ConfigError("search() needs an `objective` of your own, or the name or path of an `experiment`")
    if experiment is not None and space is not None and not isinstance(space, str):
        raise ConfigError("search(): with an `experiment`, `space` needs the name or path of one")
    named: dict[str, Any] = {}
    if objective is not None:
        name = objective if isinstance(objective, str) else _name_of(objective)
        plain = name.rpartition(":")[2].rpartition(".")[2]
        named = {"objective": name}
        if experiment is None:
            named["name"] = plain if plain[:1].isalnum() else "custom"
    if rungs is not None:
        grids = {stage: list(grid) for stage, grid in rungs.items()} if isinstance(rungs, Mapping) else list(rungs)
        named["rungs"] = grids
    given: dict[str, Any] = {
        **named,
        "trials": trials,
        "target": None if target is None else {"score": target},
        "measure": measure,
        "weights": weights and dict(weights),
        "reference": reference,
        "values": values and dict(values),
        "baselines": baselines if baselines is None else list(baselines),
        "enqueue": enqueue and [dict(params) for params in enqueue],
        "sampler": sampler,
        "pruner": pruner,
        "seed": seed,
        "target_languages": languages and list(languages),
        "identity": identity and dict(identity),
        "largest_cost": largest_cost,
        "space": space if isinstance(space, str) else None,
        **(settings or {}),
    }
    content = {key: value for key, value in given.items() if value is not None}
    options = SearchOptions(
        experiment=None if experiment is None else str(experiment),
        data_dir=Path(data_dir),
        settings=tuple(Setting(key, value, "search()") for key, value in content.items()),
        study=study or (content.get("name") if isinstance(space, Mapping) else None),
        hours=max_hours,
        trial_timeout=trial_timeout,
        stall_timeout=stall_timeout,
        cost=max_cost,
        failures=max_failures,
        retries=max_retries,
        root=Path(root),
        storage=storage,
        tracking=tracking,
        tracking_uri=tracking_uri,
        isolated=isolated,
        resources=Resources(backend=backend, workers=workers, gpus=gpus_per_trial),
    )
    watcher = Display() if progress else Quiet()
    whole = Space("space", dict(space)) if isinstance(space, Mapping) else space
    ready = build_search(
        options,
        watcher.say,
        objective=None if isinstance(objective, str) else objective,
        space=None if isinstance(whole, str) else whole,
    )
    run_search(ready, watcher)
    return load_study(ready.plan.name, root=root, storage=storage)


def _name_of(objective: Objective) -> str:
    """`module:function`, with the name of the script in place of `__main__`."""
    function = getattr(objective, "__wrapped__", objective)
    module = getattr(function, "__module__", type(function).__module__)
    if module == "__main__":
        import __main__

        module = Path(getattr(__main__, "__file__", "__main__")).stem
    return f"{module}:{getattr(function, '__qualname__', type(function).__qualname__).replace('<locals>.', '')}"


class Quiet:
    """Shows nothing."""

    def say(self, line: str) -> None:
        """Nothing is said."""

    @contextmanager
    def running(self, search: Search, study: Study) -> Iterator[ProgressCallback]:
        yield lambda view: None
