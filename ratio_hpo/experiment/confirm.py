"""Confirmation: train finalists and baselines again with fresh seeds, as a separate study of fixed trials.

The trials use the same backends as a search and resume after an interruption. They are scored on `validation` at
each rung and on `test` at their end, and they are never pruned. A later call may add finalists and seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ratio_hpo.analysis.confirmation import confirmation, noise
from ratio_hpo.analysis.replicates import Replicates, baselines, extreme, finalists
from ratio_hpo.core.errors import ConfigError, StudyError
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.core.urls import reason_of
from ratio_hpo.experiment.build_search import build_search
from ratio_hpo.experiment.search import Watcher, run_search
from ratio_hpo.experiment.search_setup import Say, Search, SearchOptions
from ratio_hpo.experiment.study_spec import MAX_SEED, NamedSpec
from ratio_hpo.experiment.track import track_study
from ratio_hpo.objective import Objective
from ratio_hpo.space import Space
from ratio_hpo.storage.connect import Storage
from ratio_hpo.study.create_or_load import check_identity, has_study
from ratio_hpo.study.plan import CONFIRMATION, Replicate, TargetScore
from ratio_hpo.study.snapshot import StudyView, save_reading, view_study


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
    def numbers(self) -> list[int]:
        return [record.number for record in self.trials]


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


def build_replication(
    view: StudyView,
    again: ReplicationPlan,
    options: SearchOptions,
    say: Say,
    *,
    objective: Objective | None = None,
    space: Space | None = None,
) -> Search:
    """Return the confirmation as a search that is ready to run.

    Args:
        view: The study that was searched.
        again: Trials and seeds.
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
        for seed in again.seeds
        for record in again.trials
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
    spec = search.spec.model_copy(
        update={
            "trials": len(replicates),
            "keep": "none",
            "sampler": NamedSpec(name="random"),
            "pruner": NamedSpec(name="none"),
        }
    )
    return replace(search, options=replace(whole, study=name), plan=plan, spec=spec)


def unfinished(storage: Storage, search: Search) -> set[tuple[int, int]]:
    """Return the (trial, seed) pairs of the plan that have not ended yet or are queued for a retry."""
    records = _records(storage, search)
    done = {_pair(record) for record in records} - {_pair(record) for record in records if not record.state.finished}
    return {(replicate.of, replicate.seed) for replicate in search.plan.replicates} - done


def train(storage: Storage, search: Search, watcher: Watcher) -> list[TrialRecord]:
    """Train the planned replicates that have not ended; replicates of earlier, larger plans stay queued.

    Returns:
        All trials of the confirmation.

    Raises:
        RatioHpoError: As in `run_search`.
    """
    pending, records = unfinished(storage, search), _records(storage, search)
    if not pending:
        return records
    not_ended = [record for record in records if not record.state.finished]
    started = {_pair(record): record.number for record in not_ended if _pair(record) in pending}
    new = len(pending - set(started))
    total = len(records) + new if new else max(started.values()) + 1  # trials start in the order of their numbers
    spec = search.spec.model_copy(update={"trials": total})
    return run_search(replace(search, spec=spec), watcher)


def _pair(record: TrialRecord) -> tuple[int | None, int | None]:
    return record.replicate_of, record.seed


def _records(storage: Storage, search: Search) -> list[TrialRecord]:
    name = search.plan.name
    return view_study(storage, name).records if has_study(storage, name) else []


def replicates_of(storage: Storage, view: StudyView, again: ReplicationPlan, options: SearchOptions) -> Replicates:
    """Return the stored replicates of a plan.

    Raises:
        StudyError: Fewer than two seeds have ended for every trial.
    """
    confirmation_view = view_study(storage, view.name + CONFIRMATION)
    replicates = Replicates(view, confirmation_view, again.numbers, again.seeds, options.folder)
    if len(replicates.seeds) < 2 or not replicates.entrants:
        name = replicates.again.name
        failed = replicates.failed
        failures = f"{failed} failed: `ratio-hpo retry {name}` repeats them" if failed else "none failed"
        requested = len(again.trials) * len(again.seeds)
        raise StudyError(
            f"confirmation of {view.name}: needs at least 2 completed seeds for each trial, but "
            f"{replicates.missing} of {requested} runs are not completed ({failures}); "
            "run the same command again to resume"
        )
    return replicates


def answer(storage: Storage, view: StudyView, again: ReplicationPlan, options: SearchOptions) -> dict[str, Any]:
    """Return the result of the confirmation, and store that `test` was read for it.

    Raises:
        StudyError: Too few trials have ended.
    """
    replicates = replicates_of(storage, view, again, options)
    reading = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "trials": again.numbers,
        "seeds": list(replicates.seeds),
        "split": replicates.split.rstrip("/") or "validation",
    }
    result = confirmation(replicates, [*(dict(earlier) for earlier in replicates.again.readings), reading])
    save_reading(storage, replicates.again, reading)  # after `confirmation`: a failed analysis is no reading
    return result


def noise_floor(storage: Storage, view: StudyView, again: ReplicationPlan, options: SearchOptions) -> dict[str, Any]:
    """Return the standard deviation of scores over training seeds on `validation`, without reading `test`.

    Raises:
        StudyError: Too few trials have ended.
    """
    return noise(replicates_of(storage, view, again, options))


def track_answer(storage: Storage, view: StudyView, options: SearchOptions, say: Say) -> None:
    """Update the report in MLflow with the result, or print why the store cannot be reached."""
    if not options.tracking or view.about.store is None:
        return
    try:
        track_study(storage, view_study(storage, view.name), options.folder, options.tracking_uri, lambda record: None)
    except Exception as error:  # a tracking store may raise any error; the result is already in the study
        say(f"the report in MLflow was not updated ({reason_of(error)}); `ratio-hpo track {view.name}` updates it")


Tell = Callable[[Storage, StudyView, ReplicationPlan, SearchOptions], dict[str, Any]]


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
