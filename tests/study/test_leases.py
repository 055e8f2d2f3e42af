"""Leases of running trials: live trials are not taken over, dead ones are recovered, and only the holder writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
import sqlalchemy.event

from ratio_hpo.core.trial import Context, Decision, Progress, State
from ratio_hpo.storage.connect import Storage, default_url, open_storage
from ratio_hpo.storage.leases import (
    LEASES,
    RENEWAL,
    TERM,
    Lease,
    LeaseWatch,
    begin_trial,
    lease_of,
    own_lease,
    renew_lease,
    take_lease,
)
from ratio_hpo.storage.records import ADOPTIONS, read_trials
from ratio_hpo.storage.schema import ATTRIBUTES
from ratio_hpo.study import Study, StudyPlan, TargetScore
from ratio_hpo.study.manage import delete_study, enqueue
from tests.conftest import LANGUAGES, Hand, curve_objective, plan_of

Make = Callable[..., Study]


def elsewhere(trial_id: int = 1, **changes: Any) -> Lease:
    """A lease of a process on another host, which cannot be inspected."""
    return replace(own_lease(trial_id), host="far/away", token="far", **changes)


def read_leases(storage: Storage, trial_ids: list[int]) -> dict[int, Lease]:
    """Return leases by Optuna's trial id."""
    query = sql.select(LEASES).where(LEASES.c.trial_id.in_(trial_ids))
    return {row.trial_id: lease_of(row) for row in storage.run(lambda connection: connection.execute(query).all())}


def give_away(study: Study, number: int) -> None:
    """Give the lease of a trial to another host, as if its holder had been suspended."""
    with study.storage.engine.begin() as connection:
        connection.execute(
            sql.update(LEASES)
            .where(LEASES.c.trial_id == study.running[number].trial_id)
            .values(token="other", holder='{"host": "far/away", "boot": "b", "pid": 1, "started": 1.0}')
        )


def point(windows: int, score: float = 0.5) -> Progress:
    return Progress(stage="target", windows=windows, cost=windows, scores={f"f1/{name}": score for name in LANGUAGES})


def test_a_dead_process_on_this_host_loses_it_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert LeaseWatch().is_lost(replace(own_lease(1), pid=process.pid))
    assert not LeaseWatch().is_lost(own_lease(1))


def test_a_process_number_used_again_is_not_the_old_process() -> None:
    assert LeaseWatch().is_lost(replace(own_lease(1), started=1.0))


@pytest.mark.parametrize("skew", [-3600.0, 0.0, 3600.0])
def test_another_host_keeps_it_until_it_was_watched_for_a_term(skew: float) -> None:
    """The clock of the other host has no influence."""
    clock = Hand(skew=skew)
    watch, lease = LeaseWatch(clock), elsewhere(renewed=1e9)
    assert not watch.is_lost(lease)
    while clock.now < TERM - 1:
        clock.sleep(1.0)
        assert not watch.is_lost(lease)
    clock.sleep(1.0)
    assert watch.is_lost(lease)


def test_a_renewal_begins_the_term_anew() -> None:
    clock = Hand()
    watch, lease = LeaseWatch(clock), elsewhere()
    for beat in range(20):
        clock.sleep(RENEWAL)
        assert not watch.is_lost(replace(lease, beats=beat))


def test_what_was_not_looked_at_was_not_watched() -> None:
    """If the storage was unavailable for minutes, the holder could not renew its lease either."""
    clock = Hand()
    watch, lease = LeaseWatch(clock), elsewhere()
    assert not watch.is_lost(lease)
    clock.sleep(10 * TERM)
    assert not watch.is_lost(lease)


def test_a_stopped_process_of_this_host_loses_it_too() -> None:
    clock = Hand()
    watch, lease = LeaseWatch(clock), own_lease(1)
    for _ in range(int(TERM)):
        assert not watch.is_lost(lease)
        clock.sleep(1.0)
    assert watch.is_lost(lease)


def take(storage: Storage, mine: Lease, over: Lease | None) -> bool:
    """Take a lease without reading its trial."""
    return take_lease(storage, mine, over, lambda connection: True) or False


@pytest.fixture
def orphan(open_study: Make) -> Storage:
    """A storage in which the trial with id 1 is running and has no lease."""
    study = open_study()
    assert study.next(1) is not None
    study.running.release(0)
    return study.storage


def test_only_one_of_two_takes_over(orphan: Storage) -> None:
    first = elsewhere()
    assert take(orphan, first, None)
    assert not take(orphan, own_lease(1), None), "it is held"
    seen = read_leases(orphan, [1])[1]
    taken = [take(orphan, own_lease(1), seen) for _ in range(2)]
    assert taken == [True, False]


def test_what_was_renewed_since_is_not_taken_over(orphan: Storage) -> None:
    mine = elsewhere()
    take(orphan, mine, None)
    seen = read_leases(orphan, [1])[1]
    assert renew_lease(orphan, mine, 1.0) is not None
    assert not take(orphan, own_lease(1), seen)


def test_a_claim_that_was_cut_off_and_is_tried_again_counts(orphan: Storage) -> None:
    mine = own_lease(1)
    assert take(orphan, mine, None)
    assert take(orphan, mine, None)


def between_the_reads_of(study: Study, act: Callable[[], None]) -> None:
    """Call `act` once before the next read of leases, after trials and attributes have been read."""
    armed = [True]

    @sqlalchemy.event.listens_for(study.storage.engine, "before_cursor_execute")
    def before(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        reads_leases = statement.startswith("SELECT") and f"FROM {LEASES.name}" in statement
        if armed[0] and reads_leases and ATTRIBUTES.name not in statement:
            armed[0] = False
            act()


def check_an_ended_trial_is_left_alone(plan: StudyPlan, open_one: Callable[[StudyPlan], Study], how: str) -> None:
    """Check a trial that another driver ends while this driver reads the study."""
    first, second = open_one(plan), open_one(plan)
    job = first.next(4)
    assert job is not None
    points = list(curve_objective(job.params, Context(trial=0, seed=0, root="")))
    second.records()
    until = 3 if how == "pruned" else len(points)
    for each in points[: until - 1]:
        first.report(0, each)

    def end() -> None:
        if how == "released":
            first.running.release(0)
            return
        first.report(0, points[until - 1])
        first.prune(0) if how == "pruned" else first.complete(0)

    between_the_reads_of(second, end)
    begun = second.next(4)
    assert begun is not None
    stored = open_one(plan).records()[0]
    assert begun.number == 1
    if how == "released":  # this read saw the lease; the next read finds the trial released and resumes it
        again = second.next(4)
        assert again is not None
        assert (again.number, again.position) == (0, points[until - 2].place)
        return
    assert len(stored.curve) == until
    assert stored.state is {"complete": State.COMPLETE, "pruned": State.PRUNED}[how]
    assert read_leases(second.storage, [first.state.trial_id(0)]) == {}


ENDS = {"complete": plan_of(target=TargetScore(score=0.5)), "pruned": plan_of(), "released": plan_of()}


@pytest.mark.parametrize("how", ENDS)
def test_a_trial_that_ends_while_another_driver_looks_is_not_taken_over(open_study: Make, how: str) -> None:
    check_an_ended_trial_is_left_alone(ENDS[how], open_study, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", ENDS)
def test_nor_in_postgresql(postgres: str, how: str) -> None:
    plan = replace(ENDS[how], name=f"taken-{how}")
    check_an_ended_trial_is_left_alone(plan, lambda plan: Study(plan, open_storage(postgres)), how)


def test_a_trial_that_is_done_and_waits_for_the_target_is_not_taken_over(open_study: Make) -> None:
    first = open_study()
    jobs = [first.next(4), first.next(4)]
    assert all(jobs)
    for each in curve_objective(jobs[1].params, Context(trial=1, seed=0, root="")):  # type: ignore[union-attr]
        first.report(1, each)
    trial_id = first.state.trial_id(1)
    first.complete(1)
    assert first.records()[1].done
    assert not take(first.storage, own_lease(trial_id), None)


def test_what_is_taken_over_goes_on_from_the_curve_that_is_stored(open_study: Make) -> None:
    """The holder reported one more evaluation between the read and the takeover."""
    first, second = open_study(), open_study()
    job = first.next(4)
    assert job is not None
    first.report(0, point(10))
    second.records()
    first.report(0, point(20))
    seen = read_leases(first.storage, [first.state.trial_id(0)]).popitem()[1]
    claimed = second.running.claim(second._optuna._study_id, seen.trial_id, seen)
    assert claimed is not None
    assert [each.windows for each in claimed[1].record.curve] == [10, 20]
    assert first.report(0, point(30)) is Decision.STOP


MANY = """
import sys, time
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.backends.local import run_local
from ratio_hpo.study import Study
from ratio_hpo.storage.connect import open_storage
from tests.conftest import curve_objective, plan_of
from pathlib import Path
study = Study(plan_of("many"), open_storage(sys.argv[1]), sampler=("random", {}))
run_local(Session(study=study, budget=Budget(trials=100), root=Path(sys.argv[2])), curve_objective)
"""


def check_five_drivers(url: str, tmp_path: Path) -> None:
    """Check five processes on one study: no trial runs twice and no lease remains."""
    Study(plan_of("many"), open_storage(url)).close()
    drivers = [subprocess.Popen([sys.executable, "-c", MANY, url, str(tmp_path)]) for _ in range(5)]
    assert [driver.wait(timeout=300) for driver in drivers] == [0] * 5
    storage = open_storage(url)
    stored = read_trials(storage, storage.get_study_id_from_name("many"))
    assert len(stored) == 100
    assert {each.record.state for each in stored} <= {State.COMPLETE, State.PRUNED}
    assert [each.record.number for each in stored if each.attributes.get(ADOPTIONS)] == []
    assert read_leases(storage, [each.trial_id for each in stored]) == {}


@pytest.mark.slow
def test_five_drivers_take_over_no_trial_of_each_other(tmp_path: Path) -> None:
    check_five_drivers(default_url(tmp_path), tmp_path)


@pytest.mark.slow
def test_five_drivers_take_over_no_trial_of_each_other_in_postgresql(postgres: str, tmp_path: Path) -> None:
    check_five_drivers(postgres, tmp_path)


def test_a_second_driver_leaves_live_trials_alone(open_study: Make) -> None:
    first = open_study()
    assert first.next(2) is not None
    give_away(first, 0)
    job = open_study().next(2)
    assert job is not None
    assert job.number == 1


def test_who_lost_a_trial_writes_nothing_of_it(open_study: Make) -> None:
    """A driver that was suspended for a minute wakes up while its successor runs the trial."""
    study = open_study()
    job = study.next(1)
    assert job is not None
    assert study.report(0, point(10)) is Decision.CONTINUE
    give_away(study, 0)
    assert study.report(0, point(20)) is Decision.STOP
    study.complete(0)
    record = study.records()[0]
    assert record.state is State.RUNNING
    assert [p.windows for p in record.curve] == [10]


@pytest.mark.parametrize("end", ["complete", "prune", "fail", "died", "close"])
def test_who_lost_a_trial_does_not_end_it(end: str, open_study: Make) -> None:
    study = open_study()
    study.next(1)
    study.report(0, point(10))
    give_away(study, 0)
    if end == "fail":
        study.fail(0, "an error", None)
    elif end == "died":
        assert study.died(0, "killed", 3) is None
    elif end == "close":
        study.close()
    else:
        getattr(study, end)(0)
    record = open_study().records()[0]
    assert record.state is State.RUNNING
    assert not record.done
    assert read_leases(study.storage, [study.state.trial_id(0)]).popitem()[1].token == "other"


def test_a_lease_that_was_taken_over_is_noticed(open_study: Make) -> None:
    study = open_study()
    study.next(1)
    give_away(study, 0)
    study.running.renew()
    assert study.running[0].lost


def test_renewal_is_seen(open_study: Make) -> None:
    study = open_study()
    study.next(1)
    before = study.running[0].lease
    study.running.renew()
    assert study.running[0].lease.beats == before.beats + 1
    assert study.records()[0].worker is not None


def test_ends_let_go_of_the_lease(open_study: Make, search: Make) -> None:
    study = search(open_study(), 6)
    assert not read_leases(study.storage, [study.state.trial_id(n) for n in range(6)])


def test_who_was_faster_begins_the_trial(open_study: Make) -> None:
    """Two drivers have read the same study: one begins the trial, the other reads the study again."""
    first, second = open_study(), open_study()
    study_id, count, waiting = first._optuna._study_id, len(first.state.records), first.state.trial_id(0)
    assert first.running.begin(study_id, count, waiting, None) is not None
    assert second.running.begin(study_id, count, waiting, None) is None, "it runs"
    assert first.running.begin(study_id, count, None, None) is not None
    assert second.running.begin(study_id, count, None, None) is None, "there is one more"
    assert len(second.records()) == count + 1
    assert second.next(count + 2).number == 1  # type: ignore[union-attr]


def test_a_beginning_that_was_cut_off_and_is_tried_again_counts_once(open_study: Make) -> None:
    study, mine = open_study(), own_lease(-1)
    count = len(study.records())
    begun = [begin_trial(study.storage, study._optuna._study_id, mine, count, None, lambda *_: None) for _ in range(2)]
    assert begun[0] == begun[1]
    assert len(study.records()) == count + 1
    assert read_leases(study.storage, begun[:1])[begun[0]].token == mine.token  # type: ignore[arg-type,index]


def test_a_trial_that_another_enqueues_meanwhile_comes_first(open_study: Make) -> None:
    study = open_study(plan_of(target=TargetScore(score=0.5), baselines=()))
    study.records()
    enqueue(study.storage, study.plan.name, {"ratio": 0.25})
    job = study.next(1)
    assert job is not None
    assert (job.kind, job.params["ratio"]) == ("enqueued", 0.25)


def test_deleting_a_study_deletes_its_leases(open_study: Make) -> None:
    study = open_study()
    study.next(1)
    study.close()
    take(study.storage, elsewhere(study.state.trial_id(0), renewed=1.0), None)
    delete_study(study.storage, study.plan.name)
    with study.storage.engine.connect() as connection:
        assert connection.execute(sql.select(LEASES)).all() == []


@pytest.mark.slow
def test_two_drivers_share_a_study_in_postgresql(postgres: str) -> None:
    first, second = (Study(plan_of("pg"), open_storage(postgres)) for _ in range(2))
    jobs = [driver.next(6) for driver in (first, second, first, second)]
    assert [job.number for job in jobs if job] == [0, 1, 2, 3]
    first.close()
    assert second.next(4).number == 0  # type: ignore[union-attr]
    give_away(second, 1)
    assert second.report(1, point(10)) is Decision.STOP
    assert second.records()[1].curve == ()
    second.report(3, point(10))
    second.fail(3, "an error", "where")
    assert second.records()[3].state is State.FAIL
    seen = read_leases(second.storage, [second.state.trial_id(1)]).popitem()[1]
    taken = [take(second.storage, own_lease(seen.trial_id), seen) for _ in range(2)]
    assert taken == [True, False]
