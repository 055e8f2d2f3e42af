"""Confirm a study from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Unpack

from ratio_hpo.analysis.confirmation_results import Confirmation, Noise
from ratio_hpo.api.options import RunKeywords, run_options
from ratio_hpo.api.searching import Quiet, space_of
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
from ratio_hpo.experiment.search_setup import RunOptions
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
    progress: bool = True,
    **run: Unpack[RunKeywords],
) -> Confirmation:
    """Train finalists and baselines again with fresh seeds.

    The same call again resumes the confirmation; it may raise `seeds` and `top`.

    Args:
        study: Name of the searched study. None: the study that was used last.
        objective: The objective that `search` got, unless it was a name; the `seed` of each context is different.
        space: The space that `search` got, unless it was a name.
        top: Number of finalists, in addition to the baselines.
        seeds: Number of training seeds, at least 2; all trials use the same seeds.
        progress: Whether to show progress on stderr.
        **run: Where and how to run, such as `root`, `workers`, `max_hours`: see `RunKeywords`.

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
    options = run_options("confirm", run)
    plan = partial(to_confirm, top=top, seeds=seeds)
    return _replicate(study, plan, answer, options, objective, space_of(space), progress=progress)


def noise(
    study: str | None = None,
    *,
    objective: Objective | None = None,
    space: Mapping[str, Domain] | Space | None = None,
    seeds: int = 5,
    progress: bool = True,
    **run: Unpack[RunKeywords],
) -> Noise:
    """Train the baselines and one distant trial with fresh seeds to measure the noise of scores on `validation`.

    Args:
        study: As in `confirm`.
        objective: As in `confirm`.
        space: As in `confirm`.
        seeds: As in `confirm`, which reuses the runs of this function.
        progress: As in `confirm`.
        **run: As in `confirm`.

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
    options = run_options("noise", run)
    plan = partial(to_measure_noise, seeds=seeds)
    return _replicate(study, plan, noise_floor, options, objective, space_of(space), progress=progress)


def _replicate(
    study: str | None,
    make_plan: Callable[[StudyView], ReplicationPlan],
    evaluate: Evaluate[R],
    options: RunOptions,
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
