"""A search, run: study, backend and tracking wired together."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from ratio_hpo.backends.driver import Budget, Session
from ratio_hpo.backends.local import run_local
from ratio_hpo.core.errors import FirstTrialFailed
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.experiment.garbage import remember_storage
from ratio_hpo.experiment.ready import Search
from ratio_hpo.study import Study
from ratio_hpo.study.keeper import WeightKeeper
from ratio_hpo.study.storage import default_url, open_storage

Watch = Callable[[Sequence[TrialRecord]], None]


class Watcher(Protocol):
    """Who is shown how a search goes."""

    def say(self, line: str) -> None: ...

    def running(self, search: Search, study: Study) -> AbstractContextManager[Watch]: ...


def run_search(search: Search, watcher: Watcher) -> list[TrialRecord]:
    """Run or continue a search until its budget is spent; returns all trials.

    Raises:
        RatioHpoError: a study of another identity, or trial 0 failed.
        KeyboardInterrupt: everything is kept.
    """
    if search.prepared is not None:
        keep = search.options.keep_leaks
        for line in [*search.prepared.problems, *(leak.line(kept=keep) for leak in search.prepared.leaks)]:
            watcher.say(line)
    study = open_for(search)
    remember_storage(search.options.root, search.options.storage)
    try:
        failure = study.first_failure()
        if failure:
            raise FirstTrialFailed(
                f"study {search.plan.name}: trial 0, which sets the target, failed: {failure}; mend its cause and "
                f"start anew with --study {search.plan.name}-2"
            )
        trials = search.experiment.trials
        if study.is_done(trials):
            watcher.say(f"study {search.plan.name}: all {trials} trials are done; ask for more with --trials")
        _run(search, study, watcher)
        return study.records()
    finally:
        study.close()


def open_for(search: Search, url: str | None = None) -> Study:
    """The study of a search, opened for work.

    Args:
        url: of its storage; None: the one that the options name.
    """
    options, experiment, workers = search.options, search.experiment, search.workers
    settings = {
        "backend": options.resources.backend_for(workers),
        "workers": workers,
        "seed": search.plan.seed,
        "versions": _versions(),
        "git_commit": _git_commit(),
    }
    return Study(
        search.plan,
        open_storage(url or options.storage or default_url(options.root)),
        sampler=(experiment.sampler.name, experiment.sampler.options),
        pruner=(experiment.pruner.name, experiment.pruner.options),
        settings=settings,
        plan_trial=search.plan_trial,
    )


def _run(search: Search, study: Study, watcher: Watcher) -> None:
    options, resources, workers = search.options, search.options.resources, search.workers
    trials = search.experiment.trials
    budget = Budget(trials=trials, hours=options.hours, cost=options.cost, failures=options.failures)
    tokenizer = search.prepared.tokenizer if search.prepared is not None else None
    with ExitStack() as stack:
        if options.tracking:
            from ratio_hpo.experiment.track import tracking_beside

            stack.enter_context(tracking_beside(study, options.root, options.tracking_uri, watcher.say))
        session = Session(
            study=study,
            budget=budget,
            root=(options.root / "stages").resolve(),
            device=resources.device,
            threads=resources.threads_for(workers),
            store_gb=search.experiment.store_gb,
            system_metrics=options.system_metrics,
            watch=stack.enter_context(watcher.running(search, study)),
            keeper=WeightKeeper(options.root / "checkpoints" / search.plan.name, tokenizer, search.experiment.keep),
        )
        study.live.start_renewing()
        session.keep_weights()
        if study.is_done(trials):
            return
        if resources.backend_for(workers) == "ray":
            from ratio_hpo.backends.ray import run_ray

            run_ray(session, search.objective, workers, resources)
        else:
            run_local(session, search.objective)


def _versions() -> dict[str, Any]:
    found = {"python": platform.python_version()}
    for name in ("ratio-hpo", "torch", "transformers", "optuna", "ray", "mlflow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _git_commit() -> str | None:
    """The commit of the working folder, with a mark where files differ from it; None outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
