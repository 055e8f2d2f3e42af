"""Search from Python with an experiment or a custom objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from ratio_hpo.api.loaded import LoadedStudy, load_study
from ratio_hpo.api.options import RunKeywords, run_options
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.trial import Params
from ratio_hpo.experiment.build_search import build_search
from ratio_hpo.experiment.search import ProgressCallback, run_search
from ratio_hpo.objective import Objective
from ratio_hpo.pruners.base import Pruner
from ratio_hpo.report.live import Display
from ratio_hpo.samplers.base import Sampler
from ratio_hpo.space import Domain, Space
from ratio_hpo.study import Study


def search(
    objective: Objective | str | None = None,
    space: Mapping[str, Domain] | Space | str | None = None,
    *,
    experiment: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    rungs: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    study: str | None = None,
    trials: int | None = None,
    target: float | None = None,
    measure: str | None = None,
    weights: Mapping[str, float] | None = None,
    reference: str | None = None,
    values: Mapping[str, object] | None = None,
    baselines: Sequence[str] | None = None,
    enqueue: Sequence[Params] | None = None,
    sampler: Sampler | str | None = None,
    pruner: Pruner | str | None = None,
    seed: int | None = None,
    largest_cost: float | None = None,
    languages: Sequence[str] | None = None,
    identity: Mapping[str, object] | None = None,
    progress: bool = True,
    **run: Unpack[RunKeywords],
) -> LoadedStudy:
    """Search a space with an experiment or a custom objective. The same call again resumes the study.

    Arguments that are None take the value of the experiment, or the default in `docs/reference/yaml.md`.

    Args:
        objective: Generator of `Progress`, called with (params, context), or its name `package.module:function`. None:
            the built-in objective, which trains the stages of `experiment`.
        space: Domains by parameter, a `Space`, or the name or path of one. The mixture parameter is `ratio` (a
            `Ratio`) or `shares` (a `Simplex` with named parts). With an experiment, only a name or path.
        experiment: Name or path of an experiment file. `search(experiment="polyglot-world")` does the same as
            `ratio-hpo search`.
        settings: Other keys of the experiment, as `-S` sets them: `{"stages.target.steps": 80}`.
        rungs: Windows at which every trial yields an evaluation: a list for the stage `target`, or lists by stage.
        study: Name of the study. None: the function's name.
        trials: Total number of trials of the study, including baselines.
        target: Target score. None: 0.95 of the final score of the reference-only baseline.
        measure: Measure of the yielded `<measure>/<language>`, if the objective yields no `score/<language>`.
        weights: Weights of languages in the primary score. None: equal weights.
        reference: Part of a simplex whose share is 1 - ratio.
        values: Reference values of other parameters: baselines use them, and factor domains multiply them. A
            parameter without a reference value is absolute, and baselines use the middle of its domain.
        baselines: Baselines that run first and are never pruned.
        enqueue: Parameters of trials that run after the baselines.
        sampler: A sampler, or the name of one.
        pruner: A pruner, or the name of one.
        seed: Seed of samplers, splits and training.
        largest_cost: Largest cost of a trial, in windows. None: the sum of the last rungs.
        languages: Languages that every evaluation must score. None: the languages of the first evaluation.
        identity: Other values that identify the study (data, model, version of the code).
        progress: Whether to show progress on stderr.
        **run: Where and how to run, such as `root`, `workers`, `max_hours`, `tracking=False`: see `RunKeywords`.

    Returns:
        The study, as returned by `load_study`.

    Raises:
        ConfigError: The arguments or the experiment are invalid; one line per mistake.
        StudyError: A study of this name has another identity.
        FirstTrialFailed: Trial 0, which sets the target, failed.
        TooManyFailures: `max_failures` consecutive trials failed with the same error.

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
        >>> study.status().counts["COMPLETE"]
        4
    """
    if objective is None and experiment is None:
        raise ConfigError("search() needs an `objective`, or the name or path of an `experiment`; pass one")
    if experiment is not None and space is not None and not isinstance(space, str):
        raise ConfigError("search(): with an `experiment`, `space` must be a name or path; pass one")
    named: dict[str, object] = {}
    if objective is not None:
        name = objective if isinstance(objective, str) else _name_of(objective)
        function_name = name.rpartition(":")[2].rpartition(".")[2]
        named = {"objective": name}
        if experiment is None:
            named["name"] = function_name if function_name[:1].isalnum() else "custom"
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
        "sampler": sampler if isinstance(sampler, str) else None,
        "pruner": pruner if isinstance(pruner, str) else None,
        "seed": seed,
        "target_languages": languages and list(languages),
        "identity": identity and dict(identity),
        "largest_cost": largest_cost,
        "space": space if isinstance(space, str) else None,
        **(settings or {}),
    }
    content = {key: value for key, value in given.items() if value is not None}
    options = run_options(
        "search",
        run,
        experiment=None if experiment is None else str(experiment),
        settings=tuple(Setting(key, value, "search()") for key, value in content.items()),
        study=study or (content.get("name") if isinstance(space, Mapping) else None),
    )
    watcher = Display() if progress else Quiet()
    ready = build_search(
        options,
        watcher.say,
        objective=None if isinstance(objective, str) else objective,
        space=None if isinstance(space, str) else space_of(space),
    )
    ready = replace(
        ready,
        sampler=None if isinstance(sampler, str) else sampler,
        pruner=None if isinstance(pruner, str) else pruner,
    )
    run_search(ready, watcher)
    return load_study(ready.plan.name, root=options.root, storage=options.storage)


def space_of(space: Mapping[str, Domain] | Space | None) -> Space | None:
    """Return a space passed from Python; domains by parameter become a space."""
    return Space("space", dict(space)) if isinstance(space, Mapping) else space


def _name_of(objective: Objective) -> str:
    """Return `module:function`, with the name of the script instead of `__main__`."""
    function = getattr(objective, "__wrapped__", objective)
    module = getattr(function, "__module__", type(function).__module__)
    if module == "__main__":
        import __main__

        module = Path(getattr(__main__, "__file__", "__main__")).stem
    return f"{module}:{getattr(function, '__qualname__', type(function).__qualname__).replace('<locals>.', '')}"


class Quiet:
    """Watcher that prints nothing."""

    def say(self, line: str) -> None:
        """Ignore a line."""

    @contextmanager
    def running(self, study: Study, trials: int) -> Iterator[ProgressCallback]:
        yield lambda view: None
