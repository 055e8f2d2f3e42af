"""Preview a search, without changing its study: first proposals and a time estimate."""

from __future__ import annotations

from dataclasses import dataclass

from ratio_hpo.core.files import scratch_folder
from ratio_hpo.core.trial import Context, Params
from ratio_hpo.experiment.search import open_for
from ratio_hpo.experiment.search_setup import Search
from ratio_hpo.storage.connect import default_url
from ratio_hpo.study import TrialAssignment

SHOWN = 8
"""Default number of proposals to show."""


def first_proposals(search: Search, count: int = SHOWN) -> list[TrialAssignment]:
    """Return the first trials of the search as a new study: baselines, enqueued trials, then sampled ones."""
    with scratch_folder() as folder:
        study = open_for(search, default_url(folder))
        try:
            proposals = []
            while len(proposals) < count and (assignment := study.next(search.spec.trials)) is not None:
                proposals.append(assignment)
            return proposals
        finally:
            study.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEstimate:
    """Upper bound on the duration of a search, in seconds; pruning and shared stages reduce it."""

    seconds_per_window: float
    seconds_per_evaluation: float
    steps_timed: int
    workers: int
    largest_trial_seconds: float
    at_most_seconds: float


def estimate_time(search: Search) -> TimeEstimate | None:
    """Estimate the time from a short calibration on this machine; None for objectives that cannot be calibrated.

    The estimate does not include the slowdown of workers that share a memory bus.
    """
    if search.calibrate is None:
        return None
    options, workers = search.options, search.workers
    params: Params = dict(search.plan.baselines[0].params) if search.plan.baselines else {}
    context = Context(
        trial=0,
        seed=search.plan.seed,
        root="",
        device=options.resources.device,
        threads=options.resources.threads_for(workers),
    )
    measured = search.calibrate(params, context)
    evaluations = sum(len(grid) for grid in search.plan.rungs.values())
    trial = search.largest_windows * measured.window + evaluations * measured.evaluation
    return TimeEstimate(
        seconds_per_window=measured.window,
        seconds_per_evaluation=measured.evaluation,
        steps_timed=measured.steps,
        workers=workers,
        largest_trial_seconds=trial,
        at_most_seconds=trial * search.spec.trials / workers,
    )
