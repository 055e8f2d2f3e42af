"""Faults of storage, drivers and workers, with an objective that trains nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.trial import Context, Decision, Params, Progress, TrialRecord
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.storage.leases import TERM, LeaseWatch
from ratio_hpo.study import Study
from tests.conftest import Hand, curve_objective, plan_of
from tests.faults.conftest import Ledger
from tests.storage.test_retrying_storage import REASONS, outage

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TRIALS = 10


def opened(root: Path, **options: Any) -> Study:
    root.mkdir(exist_ok=True)
    return Study(plan_of(), open_storage(default_url(root)), **options)


def searched(study: Study, root: Path, objective: Any = curve_objective, **options: Any) -> list[TrialRecord]:
    run_local(Session(study=study, budget=Budget(trials=TRIALS), root=root), objective, **options)
    return study.records()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[TrialRecord]:
    """Return the trials of an undisturbed study."""
    root = tmp_path_factory.mktemp("whole")
    return searched(opened(root), root)


@pytest.mark.parametrize("reason", REASONS)
def test_storage(reason: str, whole: list[TrialRecord], ledger: Ledger, often: int, tmp_path: Path) -> None:
    for k in range(often):
        study = opened(tmp_path / str(k))
        study.storage.patience, study.storage.clock = 60.0, Hand()
        with outage(study.storage, every=53 + k, length=2, reason=REASONS[reason]) as failed:
            ledger.compare(whole, searched(study, tmp_path))
        ledger.injections += len(failed)
    ledger.check()


def test_driver_asleep(whole: list[TrialRecord], ledger: Ledger, often: int, tmp_path: Path) -> None:
    """The driver of a trial sleeps at a rung, a second one takes over, the first wakes up; at every rung in turn."""
    points = list(curve_objective(whole[0].params, None))  # type: ignore[arg-type]
    for k in range(10 * often):
        root = tmp_path / str(k)
        first, second, clock = opened(root), opened(root), Hand()
        assert first.next(TRIALS) is not None
        for point in points[: k % 10]:
            first.report(0, point)
        second.running.watch = LeaseWatch(clock)
        for _ in range(int(TERM) + 1):
            second.running.watch.is_lost(first.running[0].lease)
            clock.sleep(1.0)
        ledger.injections += 1
        records = searched(second, root)
        for point in points[k % 10 :]:
            assert first.report(0, point) is Decision.STOP
        first.complete(0)
        first.close()
        assert records == second.records()
        ledger.compare(whole, records)
    ledger.check()


DRIVER = """
import sys, time
from pathlib import Path
from tests.faults.test_studies import opened, searched
from tests.conftest import curve_objective

def slowly(params, context):
    for progress in curve_objective(params, context):
        time.sleep(0.06)
        yield progress

root = Path(sys.argv[1])
searched(opened(root), root, slowly)
"""


def test_driver_killed(whole: list[TrialRecord], ledger: Ledger, often: int, tmp_path: Path) -> None:
    rng = random.Random(0)
    for k in range(often):
        root = tmp_path / str(k)
        while True:
            driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(root)], cwd=Path(__file__).parents[2])
            try:
                driver.wait(rng.uniform(1.5, 4.0) + 0.2 * ledger.injections)  # grows for slow machines
                break
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait()
                ledger.injections += 1
        assert driver.returncode == 0
        ledger.compare(whole, opened(root).records())
    ledger.check()


def dying(folder: str) -> Callable[[Params, Context], Iterator[Progress]]:
    """Return an objective whose process is killed once at each of two rungs of every trial."""

    def objective(params: Params, context: Context) -> Iterator[Progress]:
        from tests.conftest import curve_objective as curve

        for k, progress in enumerate(curve(params, context)):
            mark = Path(folder) / f"{context.trial}-{k}"
            if k % 5 == 1 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield progress

    return objective


def test_worker_killed(whole: list[TrialRecord], ledger: Ledger, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    records = searched(opened(tmp_path / "study"), tmp_path, dying(str(marks)), isolated=True)
    ledger.injections += len(list(marks.iterdir()))
    ledger.compare(whole, records)
    ledger.check()


def test_clock_set_back_and_forth(whole: list[TrialRecord], ledger: Ledger, often: int, tmp_path: Path) -> None:
    """Two drivers whose clocks differ by an hour work on one study in turn."""
    for k, skew in enumerate((-3600.0, 3600.0) * 5 * often):
        root = tmp_path / str(k)
        ahead, behind = opened(root), opened(root)
        ahead.running._clock = Hand(skew=skew)
        job, other = ahead.next(TRIALS), behind.next(TRIALS)
        assert job is not None
        assert other is not None
        assert (job.number, other.number) == (0, 1), "nobody takes what is held"
        ledger.injections += 1
        for study, number in ((ahead, 0), (behind, 1)):
            for point in curve_objective(whole[number].params, None):  # type: ignore[arg-type]
                assert study.report(number, point) is Decision.CONTINUE
            study.complete(number)
        ledger.compare(whole[:2], behind.records()[:2])
    ledger.check()
