"""Whose a running trial is: no live one is stolen, no dead one is lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from ratio_hpo.study import Study
from ratio_hpo.study.leases import Lease, own_lease
from ratio_hpo.study.records import LEASE
from ratio_hpo.study.storage import open_storage
from ratio_hpo.study.tables import swap_attribute, write_attributes
from tests.conftest import plan_of


def lease(**changes: Any) -> Lease:
    return Lease(**{**own_lease().to_json(), **changes})


def test_a_live_process_keeps_its_lease_until_it_expires() -> None:
    assert own_lease().is_live()
    assert not own_lease().is_live(now=time.time() + 61)


def test_a_dead_process_on_this_host_loses_it_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert not lease(pid=process.pid).is_live()


def test_a_process_number_used_again_is_not_the_old_process() -> None:
    assert not lease(started=own_lease().started - 1000).is_live()


def test_another_host_keeps_its_lease_until_it_expires() -> None:
    elsewhere = lease(host="far/away", pid=1)
    assert elsewhere.is_live()
    assert not elsewhere.is_live(now=elsewhere.expires)


def test_a_second_driver_leaves_live_trials_alone(open_study: Callable[..., Study]) -> None:
    first = open_study()
    assert first.next(2) is not None
    trial = first._optuna.get_trials()[0]
    write_attributes(first.storage, trial._trial_id, {LEASE: lease(host="far/away").to_json()})
    job = open_study().next(2)
    assert job is not None
    assert job.number == 1


def test_only_one_of_two_takes_over(open_study: Callable[..., Study]) -> None:
    first = open_study()
    first.next(1)
    first.close()
    held = first._optuna.get_trials()[0]
    content = held.user_attrs[LEASE]
    taken = [swap_attribute(first.storage, held._trial_id, LEASE, content, lease(pid=pid).to_json()) for pid in (1, 2)]
    assert taken == [True, False]


def test_a_lease_that_was_taken_over_is_noticed(open_study: Callable[..., Study]) -> None:
    study = open_study()
    job = study.next(1)
    trial_id = study.live[0].trial_id
    write_attributes(study.storage, trial_id, {LEASE: lease(host="far/away").to_json()})
    study.live.renew()
    assert study.live[0].lost
    study.complete(job.number)  # type: ignore[union-attr]
    assert study.records()[0].state.value == "RUNNING"


def test_renewal_keeps_a_lease_alive(open_study: Callable[..., Study]) -> None:
    study = open_study()
    study.next(1)
    before = study.live[0].lease.expires
    time.sleep(0.01)
    study.live.renew()
    assert study.live[0].lease.expires > before
    assert study.records()[0].worker is not None


@pytest.mark.slow
def test_two_drivers_share_a_study_in_postgresql(postgres: str) -> None:
    first, second = (Study(plan_of("pg"), open_storage(postgres)) for _ in range(2))
    jobs = [driver.next(6) for driver in (first, second, first, second)]
    assert [job.number for job in jobs if job] == [0, 1, 2, 3]
    first.close()
    assert second.next(4).number == 0  # type: ignore[union-attr]
    held = second._optuna.get_trials()[1]
    content = held.user_attrs[LEASE]
    taken = [swap_attribute(first.storage, held._trial_id, LEASE, content, lease(pid=p).to_json()) for p in (1, 2)]
    assert taken == [True, False]
    assert not swap_attribute(first.storage, held._trial_id, LEASE, None, {})
