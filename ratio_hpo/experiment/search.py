"""Run a search: connect study, backend and tracking."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.errors import FirstTrialFailed, WorkLeft
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.plans import TrialPlan
from ratio_hpo.core.retry import retry_call
from ratio_hpo.core.trial import Params, State, TrialRecord
from ratio_hpo.core.urls import reason_of, shown_url
from ratio_hpo.experiment.places import remember_storage
from ratio_hpo.experiment.search_setup import RunOptions, Search
from ratio_hpo.objective import Pipeline
from ratio_hpo.objective.checked import source_of
from ratio_hpo.storage.connect import is_passing, open_storage
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.study import Study
from ratio_hpo.study.checkpoint_retention import CheckpointRetention
from ratio_hpo.study.components import PlanTrial
from ratio_hpo.study.snapshot import StudyView, view_study
from ratio_hpo.study.state import StudyState
from ratio_hpo.surrogate.observations import names_languages
from ratio_hpo.training.remote_files import DriverRemoteStore, put_windows
from ratio_hpo.training.store import StageStore, store_budget

SOURCE = "objective_source"
"""Study attribute with the fingerprint of the objective's source code at the start of the study."""

ProgressCallback = Callable[[StudyState], None]


class Watcher(Protocol):
    """Receiver of messages and progress of a search."""

    def say(self, line: str) -> None: ...

    def running(self, study: Study, trials: int) -> AbstractContextManager[ProgressCallback]: ...


def run_search(search: Search, watcher: Watcher) -> list[TrialRecord]:
    """Run or resume a search until its budget is spent, and return all trials.

    Args:
        search: The search.
        watcher: Receiver of messages and progress.

    Raises:
        RatioHpoError: The study has another identity, or trial 0 failed.
        WorkLeft: Trials are left although no limit was reached.
        KeyboardInterrupt: The user stopped the search; nothing is lost.
    """
    for line in [*search.data.problems, *search.data.leaks]:
        watcher.say(line)
    study = open_for(search, say=watcher.say)
    options = search.options
    _retry_file_access(options, watcher.say, lambda: remember_storage(options.folder, options.storage))
    try:
        failure = study.first_failure()
        if failure:
            raise FirstTrialFailed(
                f"study {search.plan.name}: trial 0, which sets the target, failed: {failure}; fix the cause and "
                f"start a new study: ⟨study⟩ {search.plan.name}-2"
            )
        _check_source(search, study, watcher)
        trials = search.spec.trials
        if study.is_done(trials):
            watcher.say(f"study {search.plan.name}: all {trials} trials are done; raise ⟨trials⟩ to run more")
        limit = _run(search, study, watcher)
        records = study.records()
        line = _unfinished(records, search, study, limit)
        if line is not None:
            watcher.say(line)
        return records
    finally:
        study.close()


def _check_source(search: Search, study: Study, watcher: Watcher) -> None:
    """Store the fingerprint of the objective's source, and warn if the source was edited since the study began."""
    source = source_of(search.objective)
    stored = study.provenance(SOURCE)
    if source is None or source == stored:
        return
    if stored is None:
        study.save_provenance(SOURCE, source)
        return
    name = search.plan.name
    watcher.say(
        f"study {name}: the objective or its module was edited since the study began; earlier trials keep their "
        f"results. To search with the new version alone, start a new study: ⟨study⟩ {name}-2"
    )


def open_for(search: Search, url: str | None = None, say: Callable[[str], None] | None = None) -> Study:
    """Create or open the study of a search.

    Args:
        search: The search.
        url: Storage URL. None: the storage of the options.
        say: Callback that prints a line when the storage is unavailable.
    """
    options, spec, workers = search.options, search.spec, search.workers
    settings = {
        "backend": options.resources.backend_for(workers),
        "workers": workers,
        "versions": _versions(),
        "git_commit": _git_commit(),
    }
    remote_store = options.folder.remote_store(options.remote_store, say)  # shared, because it caches its listing
    storage = retry_call(
        lambda: open_storage(url or options.storage or options.folder.studies_url), what="storage", passes=is_passing,
        reason_of=reason_of, patience=60.0 * options.storage_patience, say=say,
    )  # fmt: skip
    storage.patience, storage.say = 60.0 * options.storage_patience, say
    return Study(
        search.plan,
        storage,
        sampler=(spec.sampler.name, spec.sampler.options) if search.sampler is None else search.sampler,
        pruner=(spec.pruner.name, spec.pruner.options) if search.pruner is None else search.pruner,
        settings=settings,
        plan_trial=partial(_plan_with_retries, storage, search.plan_trial),
        stored=lambda identity: StageStore(options.folder.stages, remote_store=remote_store).steps(identity),
        known=None if url is None else partial(_stored_study, options),
    )


def _plan_with_retries(storage: RetryingStorage, plan: PlanTrial, params: Params, seed: int) -> TrialPlan:
    """Return the plan of a trial; retry file errors for as long as storage errors."""
    return retry_call(
        lambda: plan(params, seed), what="data", passes=is_fault, reason_of=reason_of, patience=storage.patience,
        say=storage.say,
    )  # fmt: skip


def _retry_file_access(options: RunOptions, say: Callable[[str], None], call: Callable[[], None]) -> None:
    """Call a function that accesses the run folder; retry disk errors for as long as storage errors."""
    patience = 60.0 * options.storage_patience
    retry_call(call, what=str(options.root), passes=is_fault, reason_of=reason_of, patience=patience, say=say)


def _stored_study(options: RunOptions, name: str) -> StudyView:
    """Read a study of the options' storage for a preview.

    Raises:
        StudyError: No study has this name.
    """
    url = options.storage or options.folder.studies_url
    return view_study(open_storage(url, create=False, only_read=True), name)


def _run(search: Search, study: Study, watcher: Watcher) -> str | None:
    """Run trials until the budget is spent; return the limit that was reached, or None."""
    options, resources, workers = search.options, search.options.resources, search.workers
    folder, trials = options.folder, search.spec.trials
    store_bytes = store_budget(search.spec.store_gb, search.checkpoint_bytes or 0)
    done = study.is_done(trials)
    if search.checkpoint_bytes and not done:
        needed = search.checkpoint_bytes
        _retry_file_access(options, watcher.say, lambda: StageStore(folder.stages, store_bytes).check_room(needed))
    budget = Budget(
        trials=trials, hours=options.max_hours, cost=options.max_cost, failures=options.max_failures,
        retries=options.max_retries, trial_minutes=options.trial_timeout, stall_minutes=options.stall_timeout,
    )  # fmt: skip
    remote_store = folder.remote_store(options.remote_store, watcher.say)
    if remote_store is not None and not done:
        remote_store.check()
        if isinstance(search.objective, Pipeline):
            watcher.say(f"uploading token windows to {shown_url(remote_store.url)}")
            put_windows(search.objective.design.window_folders, remote_store)
    with ExitStack() as stack:
        if options.tracking:
            from ratio_hpo.experiment.track import tracking_beside

            stack.enter_context(tracking_beside(study, folder, options.tracking_uri, watcher.say))
        session = Session(
            study=study,
            say=watcher.say,
            budget=budget,
            root=folder.root,
            device=resources.device,
            threads=resources.threads_for(workers),
            store_gb=search.spec.store_gb,
            system_metrics=options.system_metrics,
            watch=_warn_once(stack.enter_context(watcher.running(study, trials)), search, watcher),
            retention=CheckpointRetention(
                folder.weights(search.plan.name),
                folder.stages,
                search.tokenizer,
                search.spec.keep,
                remote_store,
                patience=60.0 * options.storage_patience,
                say=watcher.say,
            ),
            remote_store=DriverRemoteStore(remote_store, folder, store_bytes) if remote_store is not None else None,
        )
        study.running.start_renewing()
        study.adviser.update(study.records())
        session.keep_weights()
        if session.remote_store is not None:
            session.remote_store.catch_up(study.records())
        if done:
            return None
        if resources.backend_for(workers) == "ray":
            from ratio_hpo.backends.ray import run_ray

            run_ray(session, search.objective, workers, resources)
        else:
            run_local(session, search.objective, isolated=search.isolated or (budget.is_timed and options.isolated))
        study.adviser.update(study.records())
        session.keep_weights()  # the final recommendation may differ
        return session.limit


def _warn_once(watch: ProgressCallback, search: Search, watcher: Watcher) -> ProgressCallback:
    """Return a callback that also warns once if the sampler cannot model each language separately."""
    about, has_warned = search.plan.about, False

    def callback(view: StudyState) -> None:
        nonlocal has_warned
        if not has_warned and not about.targets and not names_languages(view.records[:2], about.weights):
            has_warned = True
            watcher.say(
                f"study {search.plan.name}: score/mean is not the mean of the languages' scores, so the sampler "
                "models only score/mean, which takes more trials; if it is a weighted mean, set `weights`"
            )
        watch(view)

    return callback


def _unfinished(records: list[TrialRecord], search: Search, study: Study, limit: str | None) -> str | None:
    """Return why a search ended before all trials were done, or None if all are done.

    Raises:
        WorkLeft: No limit explains it.
    """
    trials, name = search.spec.trials, search.plan.name
    done = sum(record.state.finished or record.done for record in records)
    if done >= trials:
        return None
    if limit is not None:
        return f"study {name}: stopped at {limit} with {done} of {trials} trials; run the same command again to resume"
    elsewhere = sum(record.state is State.RUNNING and record.worker is not None for record in records)
    if elsewhere:
        return f"study {name}: {elsewhere} trial(s) are running in other processes"
    if all(record.state.finished for record in records) and study.is_exhausted():
        return f"study {name}: the sampler has nothing left to propose after {done} of {trials} trials"
    raise WorkLeft(f"study {name}: ended with {done} of {trials} trials; run the same command again to resume")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in ("ratio-hpo", "torch", "transformers", "optuna", "ray", "mlflow"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return versions


def _git_commit() -> str | None:
    """Return the git commit of the working folder, marked `-dirty` if files differ; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
