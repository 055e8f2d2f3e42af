"""Whose a running trial is: no live one is stolen, no dead one is lost, and nobody writes what is not theirs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sql

from ratio_hpo.core.trial import Decision, Progress, State
from ratio_hpo.study import Study, Target
from ratio_hpo.study.admin import delete_study, enqueue
from ratio_hpo.study.leases import (
    RENEWAL,
    TERM,
    Lease,
    Watch,
    begin_trial,
    lease_of,
    own_lease,
    renew_lease,
    take_lease,
)
from ratio_hpo.study.storage import Storage, open_storage
from ratio_hpo.study.tables import LEASES
from tests.conftest import LANGUAGES, Hand, plan_of

Make = Callable[..., Study]


def elsewhere(trial_id: int = 1, **changes: Any) -> Lease:
    """A lease of a process that cannot be looked at."""
    return replace(own_lease(trial_id), host="far/away", token="far", **changes)


def read_leases(storage: Storage, trial_ids: list[int]) -> dict[int, Lease]:
    """Leases by Optuna's id of their trial."""
    query = sql.select(LEASES).where(LEASES.c.trial_id.in_(trial_ids))
    return {row.trial_id: lease_of(row) for row in storage.run(lambda connection: connection.execute(query).all())}


def give_away(study: Study, number: int) -> None:
    """Let another host take a trial over, as if its holder had slept."""
    with study.storage.engine.begin() as connection:
        connection.execute(
            sql.update(LEASES)
            .where(LEASES.c.trial_id == study.live[number].trial_id)
            .values(token="other", holder='{"host": "far/away", "boot": "b", "pid": 1, "started": 1.0}')
        )


def point(windows: int, score: float = 0.5) -> Progress:
    return Progress(stage="target", windows=windows, cost=windows, scores={f"f1/{name}": score for name in LANGUAGES})


def test_a_dead_process_on_this_host_loses_it_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert Watch().is_lost(replace(own_lease(1), pid=process.pid))
    assert not Watch().is_lost(own_lease(1))


def test_a_process_number_used_again_is_not_the_old_process() -> None:
    assert Watch().is_lost(replace(own_lease(1), started=1.0))


@pytest.mark.parametrize("skew", [-3600.0, 0.0, 3600.0])
def test_another_host_keeps_it_until_it_was_watched_for_a_term(skew: float) -> None:
    """Whatever its clock says."""
    clock = Hand(skew=skew)
    watch, lease = Watch(clock), elsewhere(renewed=1e9)
    assert not watch.is_lost(lease)
    while clock.now < TERM - 1:
        clock.sleep(1.0)
        assert not watch.is_lost(lease)
    clock.sleep(1.0)
    assert watch.is_lost(lease)


def test_a_renewal_begins_the_term_anew() -> None:
    clock = Hand()
    watch, lease = Watch(clock), elsewhere()
    for beat in range(20):
        clock.sleep(RENEWAL)
        assert not watch.is_lost(replace(lease, beats=beat))


def test_what_was_not_looked_at_was_not_watched() -> None:
    """A storage that was away for minutes kept its holder from renewing too."""
    clock = Hand()
    watch, lease = Watch(clock), elsewhere()
    assert not watch.is_lost(lease)
    clock.sleep(10 * TERM)
    assert not watch.is_lost(lease)


def test_a_stopped_process_of_this_host_loses_it_too() -> None:
    clock = Hand()
    watch, lease = Watch(clock), own_lease(1)
    for _ in range(int(TERM)):
        assert not watch.is_lost(lease)
        clock.sleep(1.0)
    assert watch.is_lost(lease)


def test_only_one_of_two_takes_over(open_study: Make) -> None:
    storage = open_study().storage
    first = elsewhere()
    assert take_lease(storage, first, None)
    assert not take_lease(storage, own_lease(1), None), "it is held"
    seen = read_leases(storage, [1])[1]
    taken = [take_lease(storage, own_lease(1), seen) for _ in range(2)]
    assert taken == [True, False]


def test_what_was_renewed_since_is_not_taken_over(open_study: Make) -> None:
    storage = open_study().storage
    mine = elsewhere()
    take_lease(storage, mine, None)
    seen = read_leases(storage, [1])[1]
    assert renew_lease(storage, mine, 1.0) is not None
    assert not take_lease(storage, own_lease(1), seen)


def test_a_claim_that_was_cut_off_and_is_tried_again_counts(open_study: Make) -> None:
    storage = open_study().storage
    mine = own_lease(1)
    assert take_lease(storage, mine, None)
    assert take_lease(storage, mine, None)


def test_a_second_driver_leaves_live_trials_alone(open_study: Make) -> None:
    first = open_study()
    assert first.next(2) is not None
    give_away(first, 0)
    job = open_study().next(2)
    assert job is not None
    assert job.number == 1


def test_who_lost_a_trial_writes_nothing_of_it(open_study: Make) -> None:
    """A driver that slept for a minute wakes up beside its successor."""
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
    assert read_leases(study.storage, [study.view.trial_id(0)]).popitem()[1].token == "other"


def test_a_lease_that_was_taken_over_is_noticed(open_study: Make) -> None:
    study = open_study()
    study.next(1)
    give_away(study, 0)
    study.live.renew()
    assert study.live[0].lost


def test_renewal_is_seen(open_study: Make) -> None:
    study = open_study()
    study.next(1)
    before = study.live[0].lease
    study.live.renew()
    assert study.live[0].lease.beats == before.beats + 1
    assert study.records()[0].worker is not None


def test_ends_let_go_of_the_lease(open_study: Make, search: Make) -> None:
    study = search(open_study(), 6)
    assert not read_leases(study.storage, [study.view.trial_id(n) for n in range(6)])


def test_who_was_faster_begins_the_trial(open_study: Make) -> None:
    """Two drivers have looked at the same study: one begins the trial, the other looks again."""
    first, second = open_study(), open_study()
    study_id, count, waiting = first._optuna._study_id, len(first.view.records), first.view.trial_id(0)
    assert first.live.begin(study_id, count, waiting, None) is not None
    assert second.live.begin(study_id, count, waiting, None) is None, "it runs"
    assert first.live.begin(study_id, count, None, None) is not None
    assert second.live.begin(study_id, count, None, None) is None, "there is one more"
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
    study = open_study(plan_of(target=Target(score=0.5), anchors=()))
    study.records()
    enqueue(study.storage, study.plan.name, {"ratio": 0.25})
    job = study.next(1)
    assert job is not None
    assert (job.kind, job.params["ratio"]) == ("enqueued", 0.25)


def test_deleting_a_study_deletes_its_leases(open_study: Make) -> None:
    study = open_study()
    study.next(1)
    study.close()
    take_lease(study.storage, elsewhere(study.view.trial_id(0), renewed=1.0), None)
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
    seen = read_leases(second.storage, [second.view.trial_id(1)]).popitem()[1]
    taken = [take_lease(second.storage, own_lease(seen.trial_id), seen) for _ in range(2)]
    assert taken == [True, False]
