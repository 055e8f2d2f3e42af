"""Confirm a study from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from ratio_hpo.analysis.confirmation_results import Confirmation, Noise
from ratio_hpo.api.searching import Quiet, run_options, space_of
from ratio_hpo.core.errors import StudyError
from ratio_hpo.experiment.confirm import (
    Evaluate,
    R,
    ReplicationPlan,
    answer,
    noise_floor,
    replicate,
    to_confirm,
    to_measure_noise,
)
from ratio_hpo.experiment.places import repeat_command
from ratio_hpo.experiment.search_setup import SearchOptions
from ratio_hpo.experiment.track import uri_of
from ratio_hpo.objective import Objective
from ratio_hpo.report.live import Display
from ratio_hpo.space import Domain, Space
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study.snapshot import StudyView, view_study


def confirm(
    study: str | None = None,
    *,
    objective: Objective | None = None,
    space: Mapping[str, Domain] | Space | None = None,
    top: int = 3,
    seeds: int = 5,
    workers: int = 1,
    backend: Literal["auto", "local", "ray"] = "auto",
    gpus_per_trial: float | None = None,
    max_hours: float | None = None,
    root: str | Path = "mlruns",
    storage: str | None = None,
    tracking: bool = True,
    tracking_uri: str | None = None,
    isolated: bool = True,
    progress: bool = True,
) -> Confirmation:
    """Train finalists and baselines again with fresh seeds.

    The same call again resumes the confirmation; it may raise `seeds` and `top`.

    Args:
        study: Name of the searched study. None: the study that was used last.
        objective: The objective that `search` got, unless it was a name; the `seed` of each context is different.
        space: The space that `search` got, unless it was a name.
        top: Number of finalists, in addition to the baselines.
        seeds: Number of training seeds, at least 2; all trials use the same seeds.
        workers: Number of trials that run at the same time.
        backend: `local`, `ray`, or `auto`: `ray` if more than one worker fits.
        gpus_per_trial: GPUs per trial; a fraction shares a GPU. None: chosen from the available GPUs.
        max_hours: Stop after this many hours; the next call resumes.
        root: The run folder.
        storage: Optuna storage URL. None: the SQLite file below `root`.
        tracking: Whether to write to MLflow.
        tracking_uri: URI of the MLflow store. None: the store of the search.
        isolated: Whether a single worker runs the objective in a separate process.
        progress: Whether to show progress on stderr.

    Returns:
        The result that `ratio-hpo confirm` prints: `entrants` with intervals, `pairs`, `against` the baselines,
        `sentence`.

    Raises:
        StudyError: Too few trials have ended, or the experiment has changed since the search.
        ConfigError: The arguments or the experiment are invalid; one line per mistake.

    Examples:
        >>> from ratio_hpo import Progress, Ratio, search
        >>> def train(params, context):
        ...     score = 0.6 + 0.1 * params["ratio"] + 0.001 * (context.seed % 3)
        ...     yield Progress(stage="target", windows=100, cost=100, scores={"f1/mean": score})
        >>> quiet = {"root": folder, "tracking": False, "isolated": False, "progress": False}
        >>> searched = search(train, {"ratio": Ratio()}, rungs=[100], trials=4, study="twice", **quiet)
        >>> result = confirm("twice", objective=train, space={"ratio": Ratio()}, top=1, seeds=3, **quiet)
        >>> [entrant.label for entrant in result.entrants][1:]
        ['English only', 'no English']
        >>> [(rival.label, rival.mean > 0) for rival in result.against]  # the best baseline first
        [('no English', False), ('English only', True)]
    """
    options = run_options(
        root=root, storage=storage, workers=workers, backend=backend, gpus=gpus_per_trial, hours=max_hours,
        tracking=tracking, tracking_uri=tracking_uri, isolated=isolated,
    )  # fmt: skip
    plan = partial(to_confirm, top=top, seeds=seeds)
    return _replicate(study, plan, answer, options, objective, space_of(space), progress=progress)


def noise(
    study: str | None = None,
    *,
    objective: Objective | None = None,
    space: Mapping[str, Domain] | Space | None = None,
    seeds: int = 5,
    workers: int = 1,
    backend: Literal["auto", "local", "ray"] = "auto",
    gpus_per_trial: float | None = None,
    max_hours: float | None = None,
    root: str | Path = "mlruns",
    storage: str | None = None,
    tracking: bool = True,
    tracking_uri: str | None = None,
    isolated: bool = True,
    progress: bool = True,
) -> Noise:
    """Train the baselines and one distant trial with fresh seeds to measure the noise of scores on `validation`.

    Args:
        study: As in `confirm`.
        objective: As in `confirm`.
        space: As in `confirm`.
        seeds: As in `confirm`, which reuses the runs of this function.
        workers: As in `confirm`.
        backend: As in `confirm`.
        gpus_per_trial: As in `confirm`.
        max_hours: As in `confirm`.
        root: As in `confirm`.
        storage: As in `confirm`.
        tracking: As in `confirm`.
        tracking_uri: As in `confirm`.
        isolated: As in `confirm`.
        progress: As in `confirm`.

    Returns:
        The result that `ratio-hpo noise` prints: `trials` with standard deviations, `smallest_visible`.

    Raises:
        StudyError: Too few trials have ended, or the experiment has changed since the search.
        ConfigError: The arguments or the experiment are invalid; one line per mistake.

    Examples:
        >>> result = noise("twice", objective=train, space={"ratio": Ratio()}, seeds=3, **quiet)
        >>> len(result.trials), round(result.sd, 4)
        (3, 0.001)
    """
    options = run_options(
        root=root, storage=storage, workers=workers, backend=backend, gpus=gpus_per_trial, hours=max_hours,
        tracking=tracking, tracking_uri=tracking_uri, isolated=isolated,
    )  # fmt: skip
    plan = partial(to_measure_noise, seeds=seeds)
    return _replicate(study, plan, noise_floor, options, objective, space_of(space), progress=progress)


def _replicate(
    study: str | None,
    make_plan: Callable[[StudyView], ReplicationPlan],
    evaluate: Evaluate[R],
    options: SearchOptions,
    objective: Objective | None,
    space: Space | None,
    *,
    progress: bool,
) -> R:
    """Train the replicates of the plan and return the result.

    Raises:
        StudyError: The objective or the space is missing, or there is no result.
    """
    view = view_study(open_storage(options.storage or default_url(options.root), create=False), study)
    plan = make_plan(view)
    if view.about.in_process and objective is None and space is None:
        raise StudyError(
            f"study {view.name} was created from Python; pass the same ⟨objective⟩ and ⟨space⟩ as to `search`"
        )
    uri = uri_of(view, options.tracking_uri) if options.tracking else None
    repeated = repeat_command(view.about.command, replace(options, tracking_uri=uri))
    storage = open_storage(options.storage or options.folder.studies_url)
    watcher = Display() if progress else Quiet()
    outcome = replicate(storage, view, plan, repeated, watcher, evaluate, objective=objective, space=space)
    if isinstance(outcome.result, StudyError):
        raise outcome.result
    return outcome.result
