"""MLflow on a real SQLite store: one run a trial, exact curves, written again without a change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.backends.driver import Budget, Session
from ratio_hpo.backends.local import run_local
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.study import Study
from ratio_hpo.study.storage import default_url, open_storage
from ratio_hpo.tracking import NullTracker, StudyFacts, TrackingLoop
from tests.conftest import curve_objective, plan_of


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    study = Study(plan_of(), open_storage(default_url(folder)))
    run_local(Session(study=study, budget=Budget(trials=6), root=folder), curve_objective)
    return study


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlruns")


def loop_of(
    study: Study, make: Callable[[], Any], cursor: dict | None = None, said: list[str] | None = None
) -> TrackingLoop:
    def read() -> tuple[list[TrialRecord], StudyFacts]:
        return study.records(), StudyFacts(study="study", experiment="fake", ends={0: {"final/f1": 0.5}})

    says = said if said is not None else []
    return TrackingLoop(make, read, cursor if cursor is not None else study.tracked(), study.save_tracked, says.append)


def runs(store: Path) -> list[Any]:
    from mlflow import MlflowClient

    from ratio_hpo.tracking.mlflow import local_uri

    client = MlflowClient(local_uri(store))
    experiment = client.get_experiment_by_name("fake")
    found = client.search_runs([experiment.experiment_id])
    return [
        (r, client.get_metric_history(r.info.run_id, "f1/sw")) for r in sorted(found, key=lambda r: r.info.run_name)
    ]


def test_each_trial_is_one_run_with_its_curve(study: Study, store: Path) -> None:
    from ratio_hpo.tracking.mlflow import MlflowTracker, local_uri

    make = lambda: MlflowTracker(local_uri(store), "fake", store / "artifacts")  # noqa: E731
    assert loop_of(study, make).pass_once(last=True)
    written = runs(store)
    records = study.records()
    assert [r.info.run_name for r, _ in written] == [f"study/{record.number}" for record in records]
    for (run, history), record in zip(written, records, strict=True):
        assert [(m.step, m.value) for m in history] == [(int(p.cost), p.scores["f1/sw"]) for p in record.curve]
        assert run.data.tags["state"] == record.state.value
        assert float(run.data.params["ratio"]) == pytest.approx(record.params["ratio"], rel=1e-5)
    assert written[0][0].data.metrics["final/f1"] == 0.5
    assert study.tracked() == {r.number: (len(r.curve), r.state.value) for r in records}

    assert loop_of(study, make, cursor={}).pass_once()  # as after a crash before the cursor was stored
    again = runs(store)
    assert [[(m.step, m.value) for m in h] for _, h in again] == [[(m.step, m.value) for m in h] for _, h in written]


class Down:
    """A tracking server that does not answer at first."""

    is_new = False

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.written: list[int] = []

    def write(self, facts: StudyFacts, record: TrialRecord, since: int) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no answer")
        self.written.append(record.number)

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        """Nothing to keep."""


def test_a_server_that_is_down_is_told_once_and_caught_up_with(study: Study) -> None:
    said: list[str] = []
    tracker = Down(failures=2)
    loop = loop_of(study, lambda: tracker, cursor={}, said=said)
    assert [loop.pass_once(), loop.pass_once(), loop.pass_once()] == [False, False, True]
    assert tracker.written == [0, 1, 2, 3, 4, 5]
    assert len(said) == 1
    assert "no answer" in said[0]


def test_no_tracking_writes_nothing(study: Study) -> None:
    assert loop_of(study, NullTracker, cursor={}).pass_once(last=True)
