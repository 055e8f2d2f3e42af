"""Finalists and baselines trained again with fresh seeds, as a study of fixed trials beside the one that was searched.

Its trials run through the same backends as any, and go on after an interruption. They are scored on `validation`
along the way, on `test` at their end, and pruned by nobody. Finalists and seeds may grow from call to call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ratio_hpo.analysis.confirmation import confirmation, noise
from ratio_hpo.analysis.finalists import baselines, extreme, finalists
from ratio_hpo.analysis.replicates import Replicates
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
from ratio_hpo.study.create_or_load import check_identity, has_study
from ratio_hpo.study.plan import CONFIRMATION, Replicate, TargetScore
from ratio_hpo.study.storage import Storage
from ratio_hpo.study.view import StudyView, save_reading, view_study


@dataclass(frozen=True, slots=True)
class ReplicationPlan:
    """What is to be trained again.

    Attributes:
        trials: of the search, finalists first, best first.
        seeds: of their replicates.
    """

    trials: tuple[TrialRecord, ...]
    seeds: tuple[int, ...]

    @property
    def numbers(self) -> list[int]:
        return [record.number for record in self.trials]


def to_confirm(view: StudyView, top: int, seeds: int) -> ReplicationPlan:
    """The finalists and the baselines, with seeds of their own.

    Raises:
        StudyError: there is nothing to confirm, or the study is a confirmation itself.
    """
    _check_search(view)
    if top < 1:
        raise ConfigError(f"⟨top⟩: needs at least 1 finalist, but got {top}; ask for more")
    chosen = finalists(view, top)
    return ReplicationPlan((*chosen, *baselines(view)), _seeds(view, seeds))


def to_measure_noise(view: StudyView, seeds: int) -> ReplicationPlan:
    """The baselines and the place farthest from them.

    Raises:
        StudyError: no baseline is COMPLETE, or the study is a confirmation itself.
    """
    _check_search(view)
    far, fixed = extreme(view), baselines(view)
    places = (*fixed, *([far] if far is not None else []))
    if not places:
        raise StudyError(f"study {view.name} has no COMPLETE trial yet, so no noise to measure; go on with its search")
    return ReplicationPlan(places, _seeds(view, seeds))


def build_replication(
    view: StudyView,
    again: ReplicationPlan,
    options: SearchOptions,
    say: Say,
    *,
    objective: Objective | None = None,
    space: Space | None = None,
) -> Search:
    """The confirmation as a search that is ready to run.

    Args:
        options: of the search that made the study; its name there.

    Raises:
        StudyError: what would be trained is no longer what was searched.
        ConfigError, DataError: one line a mistake.
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
        target=TargetScore(score=view.target),
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
    """What was asked for, trial and seed, and has not ended yet, or is to be tried again."""
    records = _records(storage, search)
    done = {_pair(record) for record in records} - {_pair(record) for record in records if not record.state.finished}
    return {(each.of, each.seed) for each in search.plan.replicates} - done


def train(storage: Storage, search: Search, watcher: Watcher) -> list[TrialRecord]:
    """Train what was asked for and has not ended; what earlier calls asked for beyond it goes on waiting.

    Returns:
        All trials of the confirmation.

    Raises:
        RatioHpoError: as a search does.
    """
    left, records = unfinished(storage, search), _records(storage, search)
    if not left:
        return records
    known = {_pair(record): record.number for record in records if _pair(record) in left and not record.state.finished}
    new = len(left - set(known))
    total = len(records) + new if new else max(known.values()) + 1  # they are begun in the order of their numbers
    spec = search.spec.model_copy(update={"trials": total})
    return run_search(replace(search, spec=spec), watcher)


def _pair(record: TrialRecord) -> tuple[int | None, int | None]:
    return record.replicate_of, record.seed


def _records(storage: Storage, search: Search) -> list[TrialRecord]:
    name = search.plan.name
    return view_study(storage, name).records if has_study(storage, name) else []


def replicates_of(storage: Storage, view: StudyView, again: ReplicationPlan, options: SearchOptions) -> Replicates:
    """What was trained again, as it is stored.

    Raises:
        StudyError: fewer than two seeds have ended for all.
    """
    found = Replicates(view, view_study(storage, view.name + CONFIRMATION), again.numbers, again.seeds, options.folder)
    if len(found.seeds) < 2 or not found.entrants:
        name = found.again.name
        what = f"{found.failed} failed, which `ratio-hpo retry {name}` has run again" if found.failed else "none failed"
        asked = len(again.trials) * len(again.seeds)
        raise StudyError(
            f"confirmation of {view.name}: an answer needs at least 2 seeds that have ended well for each, but "
            f"{found.missing} of {asked} trials have not ({what}); the same command then goes on"
        )
    return found


def answer(storage: Storage, view: StudyView, again: ReplicationPlan, options: SearchOptions) -> dict[str, Any]:
    """What the confirmation says; that `test` was read for it is stored.

    Raises:
        StudyError: too little has ended.
    """
    found = replicates_of(storage, view, again, options)
    reading = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "trials": again.numbers,
        "seeds": list(found.seeds),
        "split": found.split.rstrip("/") or "validation",
    }
    told = confirmation(found, [*(dict(each) for each in found.again.readings), reading])
    save_reading(storage, found.again, reading)  # an answer that cannot be worked out is no reading
    return told


def noise_floor(storage: Storage, view: StudyView, again: ReplicationPlan, options: SearchOptions) -> dict[str, Any]:
    """How far seeds alone move scores on `validation`; reads nothing of `test`.

    Raises:
        StudyError: too little has ended.
    """
    return noise(replicates_of(storage, view, again, options))


def track_answer(storage: Storage, view: StudyView, options: SearchOptions, say: Say) -> None:
    """Put the report, which now has the answer, in the place of the one in MLflow; a store that is away is said."""
    if not options.tracking or view.about.store is None:
        return
    try:
        track_study(storage, view_study(storage, view.name), options.folder, options.tracking_uri, lambda record: None)
    except Exception as error:  # a tracking store may raise anything; the study is the truth
        say(f"the report in MLflow is as it was ({reason_of(error)}); `ratio-hpo track {view.name}` renews it")


Tell = Callable[[Storage, StudyView, ReplicationPlan, SearchOptions], dict[str, Any]]


def _seeds(view: StudyView, count: int) -> tuple[int, ...]:
    """Fresh seeds: those that follow the study's own.

    Raises:
        ConfigError: fewer than 2.
    """
    if count < 2:
        raise ConfigError(f"⟨seeds⟩: a difference needs at least 2 seeds, but got {count}; ask for more")
    own = int(view.identity["seed"])
    return tuple((own + 1 + k) % (MAX_SEED + 1) for k in range(count))


def _check_search(view: StudyView) -> None:
    if view.name.endswith(CONFIRMATION):
        of = view.name.removesuffix(CONFIRMATION)
        raise StudyError(f"study {view.name} is a confirmation itself; name the study that was searched, {of}")
