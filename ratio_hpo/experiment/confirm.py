"""Confirmation: train finalists and baselines again with fresh seeds, as a separate study of fixed trials.

The trials use the same backends as a search and resume after an interruption. They are scored on `validation` at
each rung and on `test` at their end, and they are never pruned. A later call may add finalists and seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from ratio_hpo.analysis.confirmation import confirmation, noise
from ratio_hpo.analysis.confirmation_results import Confirmation, Noise
from ratio_hpo.analysis.replicates import Replicates, baselines, extreme, finalists
from ratio_hpo.core.errors import ConfigError, StudyError
from ratio_hpo.core.trial import TrialRecord, failures
from ratio_hpo.core.urls import reason_of
from ratio_hpo.experiment.build_search import build_search
from ratio_hpo.experiment.search import Watcher, run_search
from ratio_hpo.experiment.search_setup import RunOptions, Say, Search
from ratio_hpo.experiment.study_spec import MAX_SEED, NamedSpec
from ratio_hpo.experiment.track import track_study
from ratio_hpo.objective import Objective
from ratio_hpo.space import Space
from ratio_hpo.storage.connect import Storage
from ratio_hpo.study.create_or_load import check_identity, has_study
from ratio_hpo.study.plan import CONFIRMATION, Replicate, TargetScore
from ratio_hpo.study.snapshot import Reading, StudyView, save_reading, view_study

R = TypeVar("R", Confirmation, Noise)

Evaluate = Callable[[Storage, Replicates], R]
"""Function that returns the result of the replicates."""


@dataclass(frozen=True, slots=True)
class ReplicationPlan:
    """Trials to train again, and the seeds to use.

    Attributes:
        trials: Trials of the search: finalists from best to worst, then baselines.
        seeds: Training seeds of the replicates.
    """

    trials: tuple[TrialRecord, ...]
    seeds: tuple[int, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the trials."""
        return tuple(record.number for record in self.trials)

    @property
    def runs(self) -> set[tuple[int, int]]:
        """The (trial, seed) pairs to train."""
        return {(number, seed) for number in self.numbers for seed in self.seeds}


def to_confirm(view: StudyView, top: int, seeds: int) -> ReplicationPlan:
    """Return the replication plan for the finalists and the baselines.

    Raises:
        ConfigError: `top` or `seeds` is too small.
        StudyError: The study has nothing to confirm, or is a confirmation itself.
    """
    _check_search(view)
    if top < 1:
        raise ConfigError(f"⟨top⟩: needs at least 1 finalist, but got {top}; raise it")
    return ReplicationPlan((*finalists(view, top), *baselines(view)), _seeds(view, seeds))


def to_measure_noise(view: StudyView, seeds: int) -> ReplicationPlan:
    """Return the replication plan for the baselines and the completed trial farthest from them.

    Raises:
        ConfigError: `seeds` is too small.
        StudyError: No trial is COMPLETE, or the study is a confirmation itself.
    """
    _check_search(view)
    farthest = extreme(view)
    trials = (*baselines(view), *([farthest] if farthest is not None else []))
    if not trials:
        raise StudyError(f"study {view.name}: noise needs a COMPLETE trial, but none exists; resume the search first")
    return ReplicationPlan(trials, _seeds(view, seeds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[R]):
    """The end of a confirmation or of a measurement of noise.

    Attributes:
        result: The result, or the error that explains why there is none.
        failed: Requested replicates that failed; empty while replicates are left to train.
        name: Name of the study of the replicates.
    """

    result: R | StudyError
    failed: tuple[TrialRecord, ...]
    name: str


def replicate(
    storage: Storage,
    view: StudyView,
    plan: ReplicationPlan,
    options: RunOptions,
    watcher: Watcher,
    evaluate: Evaluate[R],
    *,
    objective: Objective | None = None,
    space: Space | None = None,
    show: Callable[[R], None] = lambda result: None,
) -> Outcome[R]:
    """Train the replicates that have not ended, evaluate all of them and update the report in MLflow.

    Args:
        storage: Storage of the study, to write to.
        view: The study that was searched.
        plan: Trials and seeds.
        options: Options of the search that created the study.
        watcher: Receiver of messages and progress.
        evaluate: `answer` or `noise_floor`.
        objective: Custom objective passed from Python. None: the one that the experiment names.
        space: Space passed from Python. None: the one that the experiment names.
        show: Receives the result before the report is updated, which may take long.

    Raises:
        StudyError: The experiment has changed since the search, or too few replicates succeeded.
        RatioHpoError: As in `run_search`.
    """
    search = build_replication(view, plan, options, watcher.say, objective=objective, space=space)
    records, name = _train(storage, search, watcher), search.plan.name
    left, requested = _left(search, records), plan.runs
    if left:
        problem = StudyError(
            f"confirmation of {view.name}: {len(left)} of {len(requested)} trials have not ended yet; "
            "make the same call again to resume"
        )
        return Outcome(result=problem, failed=(), name=name)
    failed = tuple(record for record in failures(records) if _pair(record) in requested)
    replicates = Replicates(view, view_study(storage, name), plan.numbers, plan.seeds, options.folder)
    if len(replicates.seeds) < 2 or not replicates.configurations:
        problem = _too_few(replicates, len(requested))
        if len(failed) < len(requested):
            raise problem
        return Outcome(result=problem, failed=failed, name=name)
    result = evaluate(storage, replicates)
    show(result)
    _track(storage, view, search.options, watcher.say)
    return Outcome(result=result, failed=failed, name=name)


def build_replication(
    view: StudyView,
    replication: ReplicationPlan,
    options: RunOptions,
    say: Say,
    *,
    objective: Objective | None = None,
    space: Space | None = None,
) -> Search:
    """Return the confirmation as a search that is ready to run.

    Args:
        view: The study that was searched.
        replication: Trials and seeds.
        options: Options of the search that created the study.
        say: Callback that prints a line.
        objective: Custom objective passed from Python. None: the one that the experiment names.
        space: Space passed from Python. None: the one that the experiment names.

    Raises:
        StudyError: The experiment has changed since the search.
        ConfigError: The experiment is invalid; one line per mistake.
        DataError: The data is invalid; one line per mistake.
    """
    whole = replace(options, study=view.name, confirming=True)
    search = build_search(whole, say, objective=objective, space=space)
    check_identity(dict(view.identity), search.plan)
    name = view.name + CONFIRMATION
    replicates = tuple(
        Replicate(of=record.number, kind=record.kind, params=record.params, seed=seed)
        for seed in replication.seeds
        for record in replication.trials
    )
    plan = replace(
        search.plan,
        name=name,
        baselines=(),
        enqueue=(),
        replicates=replicates,
        target=TargetScore.model_construct(score=view.target),  # a fraction over 1 may set a target over 1
        about=replace(search.plan.about, trials=len(replicates), keep="none"),
    )
    fixed = {"sampler": NamedSpec(name="random"), "pruner": NamedSpec(name="none")}
    spec = search.spec.model_copy(update={"trials": len(replicates), "keep": "none", **fixed})
    return replace(search, options=replace(whole, study=name), plan=plan, spec=spec)


def unfinished(storage: Storage, search: Search) -> set[tuple[int, int]]:
    """Return the (trial, seed) pairs of the plan that have not ended yet or are queued for a retry."""
    return _left(search, _records(storage, search))


def _left(search: Search, records: Sequence[TrialRecord]) -> set[tuple[int, int]]:
    done = {_pair(record) for record in records} - {_pair(record) for record in records if not record.state.finished}
    return {(replicate.of, replicate.seed) for replicate in search.plan.replicates} - done


def _train(storage: Storage, search: Search, watcher: Watcher) -> list[TrialRecord]:
    """Train the planned replicates that have not ended, and return all trials of the confirmation.

    Replicates of earlier, larger plans stay queued.
    """
    records = _records(storage, search)
    left = _left(search, records)
    if not left:
        return records
    started = {
        _pair(record): record.number for record in records if not record.state.finished and _pair(record) in left
    }
    new = len(left - set(started))
    total = len(records) + new if new else max(started.values()) + 1  # trials start in the order of their numbers
    return run_search(replace(search, spec=search.spec.model_copy(update={"trials": total})), watcher)


def _pair(record: TrialRecord) -> tuple[int | None, int | None]:
    return record.replicate_of, record.seed


def _records(storage: Storage, search: Search) -> list[TrialRecord]:
    name = search.plan.name
    return view_study(storage, name).records if has_study(storage, name) else []


def _too_few(replicates: Replicates, requested: int) -> StudyError:
    name, failed = replicates.again.name, replicates.failed
    failures = f"{failed} failed: `ratio-hpo retry {name}` repeats them" if failed else "none failed"
    return StudyError(
        f"confirmation of {replicates.search.name}: needs at least 2 completed seeds for each trial, but "
        f"{replicates.missing} of {requested} runs are not completed ({failures}); run the same command again to resume"
    )


def answer(storage: Storage, replicates: Replicates) -> Confirmation:
    """Return the result of the confirmation, and store that `test` was read for it."""
    reading = Reading(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        trials=replicates.requested,
        seeds=replicates.seeds,
        split=replicates.split_name,
    )
    result = confirmation(replicates, [*replicates.again.readings, reading])
    save_reading(storage, replicates.again, reading)  # after `confirmation`: a failed analysis is no reading
    return result


def noise_floor(storage: Storage, replicates: Replicates) -> Noise:
    """Return the standard deviation of scores over training seeds on `validation`, without reading `test`."""
    return noise(replicates)


def _track(storage: Storage, view: StudyView, options: RunOptions, say: Say) -> None:
    """Update the report in MLflow with the result, or print why the store cannot be reached."""
    if not options.tracking or view.about.store is None:
        return
    try:
        track_study(storage, view_study(storage, view.name), options.folder, options.tracking_uri, lambda record: None)
    except Exception as error:  # a tracking store may raise any error; the result is already in the study
        say(f"the report in MLflow was not updated ({reason_of(error)}); `ratio-hpo track {view.name}` updates it")


def _seeds(view: StudyView, count: int) -> tuple[int, ...]:
    """Return the `count` seeds that follow the study's seed.

    Raises:
        ConfigError: `count` is less than 2.
    """
    if count < 2:
        raise ConfigError(f"⟨seeds⟩: a difference needs at least 2 seeds, but got {count}; raise it")
    study_seed = int(view.identity["seed"])
    return tuple((study_seed + 1 + k) % (MAX_SEED + 1) for k in range(count))


def _check_search(view: StudyView) -> None:
    if view.name.endswith(CONFIRMATION):
        of = view.name.removesuffix(CONFIRMATION)
        raise StudyError(f"study {view.name} is a confirmation itself; name the searched study, {of}")
