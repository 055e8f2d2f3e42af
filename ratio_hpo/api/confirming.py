"""Confirm a study from Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ratio_hpo.api.searching import Quiet
from ratio_hpo.backends.resources import Resources
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.overrides import Setting
from ratio_hpo.experiment.confirm import (
    ReplicationPlan,
    Tell,
    answer,
    build_replication,
    noise_floor,
    to_confirm,
    to_measure_noise,
    track_answer,
    train,
    unfinished,
)
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
) -> dict[str, Any]:
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
        The output of `ratio-hpo confirm --json`: `entrants` with intervals, `pairs`, `against` the baselines,
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
        >>> [entrant["label"] for entrant in result["entrants"]][1:]
        ['English only', 'no English']
        >>> [(rival["label"], rival["mean"] > 0) for rival in result["against"]]  # the best baseline first
        [('no English', False), ('English only', True)]
    """
    options = _options(**{key: value for key, value in locals().items() if key in OPTIONS})
    view = view_study(open_storage(storage or default_url(Path(root)), create=False), study)
    return _train(view, to_confirm(view, top, seeds), answer, options, objective, space, progress=progress)


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
) -> dict[str, Any]:
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
        The output of `ratio-hpo noise --json`: `places` with standard deviations, `smallest_visible`.

    Raises:
        StudyError: Too few trials have ended, or the experiment has changed since the search.
        ConfigError: The arguments or the experiment are invalid; one line per mistake.

    Examples:
        >>> result = noise("twice", objective=train, space={"ratio": Ratio()}, seeds=3, **quiet)
        >>> len(result["places"]), round(result["sd"], 4)
        (3, 0.001)
    """
    options = _options(**{key: value for key, value in locals().items() if key in OPTIONS})
    view = view_study(open_storage(storage or default_url(Path(root)), create=False), study)
    return _train(view, to_measure_noise(view, seeds), noise_floor, options, objective, space, progress=progress)


OPTIONS = (
    "workers", "backend", "gpus_per_trial", "max_hours", "root", "storage", "tracking", "tracking_uri", "isolated"
)  # fmt: skip


def _options(
    *, workers: int, backend: Literal["auto", "local", "ray"], gpus_per_trial: float | None, max_hours: float | None,
    root: str | Path, storage: str | None, tracking: bool, tracking_uri: str | None, isolated: bool,
) -> SearchOptions:  # fmt: skip
    return SearchOptions(
        hours=max_hours,
        root=Path(root),
        storage=storage,
        tracking=tracking,
        tracking_uri=tracking_uri,
        isolated=isolated,
        resources=Resources(backend=backend, workers=workers, gpus=gpus_per_trial),
    )


def _train(
    view: StudyView,
    again: ReplicationPlan,
    tell: Tell,
    options: SearchOptions,
    objective: Objective | None,
    space: Mapping[str, Domain] | Space | None,
    *,
    progress: bool,
) -> dict[str, Any]:
    command, watcher = view.about.command, Display() if progress else Quiet()
    if view.about.in_process and objective is None and space is None:
        raise StudyError(
            f"study {view.name} was created from Python; pass the same ⟨objective⟩ and ⟨space⟩ as to `search`"
        )
    whole = replace(
        options,
        tracking_uri=uri_of(view, options.tracking_uri) if options.tracking else None,
        experiment=command.experiment,
        settings=tuple(Setting(*setting) for setting in command.settings),
        data_dir=Path(command.data_dir),
        strict=command.strict,
        keep_leaks=command.keep_leaks,
    )
    domains = Space("space", dict(space)) if isinstance(space, Mapping) else space
    search = build_replication(view, again, whole, watcher.say, objective=objective, space=domains)
    storage = open_storage(options.storage or options.folder.studies_url)
    train(storage, search, watcher)
    left = unfinished(storage, search)
    if left:
        raise StudyError(
            f"confirmation of {view.name}: {len(left)} of {len(again.trials) * len(again.seeds)} trials have not ended "
            "yet; make the same call again to resume"
        )
    result = tell(storage, view, again, search.options)
    track_answer(storage, view, search.options, watcher.say)
    return result
