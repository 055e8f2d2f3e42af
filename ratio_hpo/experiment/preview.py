"""What a search would do: first proposals and a time estimate. The study itself is not touched."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ratio_hpo.core.trial import Context, Params
from ratio_hpo.experiment.ready import Search
from ratio_hpo.experiment.search import open_for
from ratio_hpo.objective import Pipeline
from ratio_hpo.study import Job
from ratio_hpo.study.storage import default_url

SHOWN = 8
"""Proposals to show: as many as are drawn before a result can change them."""


def first_proposals(search: Search, count: int = SHOWN) -> list[Job]:
    """The first trials of the search as a new study: anchors, what is enqueued, then what the sampler draws."""
    with tempfile.TemporaryDirectory(prefix="ratio-hpo-") as folder:
        study = open_for(search, default_url(Path(folder)))
        try:
            jobs = []
            while len(jobs) < count and (job := study.next(search.experiment.trials)) is not None:
                jobs.append(job)
            return jobs
        finally:
            study.close()


def estimate_time(search: Search) -> dict[str, Any] | None:
    """Seconds that the search takes at most, from a short calibration on this machine; None for own objectives.

    Pruning and shared stages make it less; workers that share a memory bus make it more.
    """
    if not isinstance(search.objective, Pipeline):
        return None
    options, workers = search.options, search.workers
    params: Params = dict(search.plan.anchors[0].params) if search.plan.anchors else {}
    context = Context(
        trial=0,
        seed=search.plan.seed,
        root="",
        device=options.resources.device,
        threads=options.resources.threads_for(workers),
    )
    measured = search.objective.calibrate(params, context)
    evaluations = sum(len(grid) for grid in search.plan.rungs.values())
    trial = search.plan.largest_cost * measured.window + evaluations * measured.evaluation
    return {
        "seconds_per_window": measured.window,
        "seconds_per_evaluation": measured.evaluation,
        "steps_timed": measured.steps,
        "workers": workers,
        "largest_trial_seconds": trial,
        "at_most_seconds": trial * search.experiment.trials / workers,
    }
