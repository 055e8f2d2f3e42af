"""Confirming a study from Python."""

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
from ratio_hpo.show.live import Display
from ratio_hpo.space import Domain, Space
from ratio_hpo.study.storage import default_url, open_storage
from ratio_hpo.study.view import StudyView, view_study


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
    """Train finalists and baselines again with fresh seeds. The same call again goes on; seeds and finalists may grow.

    Args:
        study: name of the study that was searched; None: the one that was worked on last.
        objective: what `search` was given, where that was no name; each context has a `seed` of its own.
        space: what `search` was given, where that was no name.
        top: finalists beside the baselines.
        seeds: at least 2, the same ones for each.

    Returns:
        As `ratio-hpo confirm --json`: `entrants` with intervals, `pairs`, `against` the baselines, `sentence`.

    Raises:
        StudyError: too little has ended, or what would be trained is no longer what was searched.
        ConfigError: one line a mistake.

    Examples:
        >>> from ratio_hpo import Progress, Ratio, search
        >>> def train(params, context):
        ...     score = 0.6 + 0.1 * params["ratio"] + 0.001 * (context.seed % 3)
        ...     yield Progress(stage="target", windows=100, cost=100, scores={"f1/mean": score})
        >>> quiet = {"root": folder, "tracking": False, "isolated": False, "progress": False}
        >>> searched = search(train, {"ratio": Ratio()}, rungs=[100], trials=4, study="twice", **quiet)
        >>> told = confirm("twice", objective=train, space={"ratio": Ratio()}, top=1, seeds=3, **quiet)
        >>> [entrant["label"] for entrant in told["entrants"]][1:]
        ['English only', 'no English']
        >>> [(rival["label"], rival["mean"] > 0) for rival in told["against"]]  # the best baseline first
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
    """Train the baselines and one extreme again with fresh seeds: how far seeds alone move scores on `validation`.

    Args:
        study: as for `confirm`.
        objective: as for `confirm`.
        space: as for `confirm`.
        seeds: as for `confirm`; runs that are trained here count there too.

    Returns:
        As `ratio-hpo noise --json`: `places` with standard deviations, `smallest_visible`.

    Raises:
        StudyError: too little has ended, or what would be trained is no longer what was searched.
        ConfigError: one line a mistake.

    Examples:
        >>> told = noise("twice", objective=train, space={"ratio": Ratio()}, seeds=3, **quiet)
        >>> len(told["places"]), round(told["sd"], 4)
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
    made, watcher = view.about.command, Display() if progress else Quiet()
    if view.about.in_process and objective is None and space is None:
        raise StudyError(f"study {view.name} was made from Python; give ⟨objective⟩ and ⟨space⟩ as `search` got them")
    whole = replace(
        options,
        tracking_uri=uri_of(view, options.tracking_uri) if options.tracking else None,
        experiment=made.experiment,
        settings=tuple(Setting(*each) for each in made.settings),
        data_dir=Path(made.data_dir),
        strict=made.strict,
        keep_leaks=made.keep_leaks,
    )
    domains = Space("space", dict(space)) if isinstance(space, Mapping) else space
    search = build_replication(view, again, whole, watcher.say, objective=objective, space=domains)
    storage = open_storage(options.storage or options.folder.studies_url)
    train(storage, search, watcher)
    left = unfinished(storage, search)
    if left:
        raise StudyError(
            f"confirmation of {view.name}: {len(left)} of {len(again.trials) * len(again.seeds)} trials have not ended "
            "yet; the same call goes on"
        )
    told = tell(storage, view, again, search.options)
    track_answer(storage, view, search.options, watcher.say)
    return told
