"""What may be on the front after all is scored on `select` when all trials have ended, from stored weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from ratio_hpo.backends.driver import Budget, Session
from ratio_hpo.backends.local import run_local
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.trial import Context, Decision, State, TrialRecord
from ratio_hpo.study import Study, Target
from ratio_hpo.study.front import front, spent_on
from ratio_hpo.tracking import StudyFacts
from ratio_hpo.tracking.loop import write_trials
from ratio_hpo.tracking.mlflow import MlflowTracker
from tests.backends.objectives import RUNGS, on_one_and_both, stores_weights
from tests.conftest import plan_of

Make = Callable[..., Study]
TRIALS = 10


@pytest.fixture
def opened(open_study: Make) -> Make:
    def make(**options: Any) -> Study:
        plan = replace(plan_of(target=Target(score=0.5)), languages=("en", "sw"))
        asked = {"score_select": "likely", "pruner": ("none", {}), "stored": lambda identity: RUNGS, **options}
        return open_study(plan, **asked)

    return make


@pytest.fixture
def passed_over(opened: Make, search: Make) -> list[TrialRecord]:
    """A search whose rungs could not be scored on `select`."""
    search(opened(), TRIALS, stores_weights)
    return opened().records()


@pytest.fixture
def again(opened: Make, tmp_path: Path) -> Callable[..., tuple[Study, list[str]]]:
    """The same search once more, with nothing left to train; returns what it said."""

    def run(study: Study | None = None, *, isolated: bool = False, **options: Any) -> tuple[Study, list[str]]:
        said: list[str] = []
        study = study or opened(**options)
        session = Session(study=study, budget=Budget(trials=TRIALS), root=tmp_path, say=said.append)
        run_local(session, stores_weights, isolated=isolated)
        return study, said

    return run


def amended(before: Sequence[TrialRecord], after: Sequence[TrialRecord]) -> list[tuple[int, int]]:
    """Trial and windows of the evaluations that have gained `select`."""
    return [
        (record.number, point.windows)
        for record, other in zip(before, after, strict=True)
        for point, now in zip(record.curve, other.curve, strict=True)
        if now.has_headline and not point.has_headline
    ]


def test_the_front_gains_what_was_passed_over(
    passed_over: list[TrialRecord], again: Callable[..., tuple[Study, list[str]]], opened: Make, tmp_path: Path
) -> None:
    assert {member.progress.windows for member in front(passed_over)} == {RUNGS[-1]}
    (tmp_path / "mended").touch()
    study, said = again()
    records = study.records()
    found = amended(passed_over, records)
    assert {member.progress.windows for member in front(records)} == set(RUNGS)
    assert 9 <= len(found) < 9 * TRIALS, "what is far from the front is left alone"
    assert len(said) == len({trial for trial, _ in found})
    for record, other in zip(passed_over, records, strict=True):
        assert (record.state, record.values, record.ended) == (other.state, other.values, other.ended)
        assert [point.prune_headline for point in record.curve] == [point.prune_headline for point in other.curve]
    spent = spent_on(records) - spent_on(passed_over)
    assert (spent.cost, spent.scored) == (0.0, 8.0 * len(found)), "nothing was trained, and all that was scored counts"
    assert opened().records() == records, "as it is stored"
    assert again()[1] == [], "all is done"


def test_what_was_tracked_is_tracked_as_it_is_now(
    passed_over: list[TrialRecord], again: Callable[..., tuple[Study, list[str]]], tmp_path: Path
) -> None:
    (tmp_path / "mended").touch()
    records = again()[0].records()
    facts = StudyFacts(study="study", experiment="fake")
    tracker = MlflowTracker(RunFolder(tmp_path).runs_url, "fake", tmp_path / "artifacts")
    written: dict[int, str] = {}
    for each in (passed_over, records, records):
        write_trials(tracker, each, facts, dict(written), lambda record, mark: written.update({record.number: mark}))
    assert tracker.written("study") == written
    found = amended(passed_over, records)
    client = MlflowClient(RunFolder(tmp_path).runs_url)
    runs = client.search_runs([tracker.experiment_id])
    steps = {
        (int(run.data.tags["ratio_hpo.trial"]), metric.step)
        for run in runs
        for metric in client.get_metric_history(run.info.run_id, "f1/en")
    }
    assert steps == {(r.number, p.windows) for r in records for p in r.scored}
    assert set(found) < steps
    for run in runs:
        history = client.get_metric_history(run.info.run_id, "prune/f1/en")
        assert len({metric.step for metric in history}) == len(history), "written once"


def test_two_drivers_count_it_once(
    passed_over: list[TrialRecord], again: Callable[..., tuple[Study, list[str]]], opened: Make, tmp_path: Path
) -> None:
    (tmp_path / "mended").touch()
    other = opened()
    other.records()
    stored = again()[0].records()
    assert again(other)[0].records() == stored == opened().records()


@pytest.mark.parametrize("stored", [(), RUNGS[5:]], ids=["no weights", "weights of late rungs"])
def test_what_is_not_stored_is_left_alone(
    passed_over: list[TrialRecord], again: Callable[..., tuple[Study, list[str]]], tmp_path: Path, stored: Any
) -> None:
    """Of a rung, or on the way to it, which would be trained again."""
    (tmp_path / "mended").touch()
    study, said = again(stored=lambda identity: stored)
    assert (amended(passed_over, study.records()), said) == ([], [])


def test_what_cannot_be_scored_after_all_is_asked_for_once(
    passed_over: list[TrialRecord], again: Callable[..., tuple[Study, list[str]]]
) -> None:
    study, _ = again()
    assert study.records() == passed_over


def test_a_visit_that_kills_its_process_leaves_the_trial_as_it_was(
    passed_over: list[TrialRecord], again: Callable[..., tuple[Study, list[str]]], tmp_path: Path
) -> None:
    (tmp_path / "mended").touch()
    (tmp_path / "deadly").touch()
    study, said = again(isolated=True)
    records = study.records()
    found = amended(passed_over, records)
    assert found
    assert 3 not in {trial for trial, _ in found}
    assert [record.state for record in records] == [State.COMPLETE] * TRIALS
    left = [line for line in said if "could not be scored again" in line]
    assert left == ["trial 3 could not be scored again (exit code 1): it stays without select where it had none"]
    (tmp_path / "deadly").unlink()
    assert {trial for trial, _ in amended(records, again()[0].records())} == {3}


def test_a_trial_that_was_stopped_stays_so(opened: Make, again: Callable[..., Any], tmp_path: Path) -> None:
    """It is not trained to its end either."""
    study = opened()
    for number in range(TRIALS):
        job = study.next(TRIALS)
        assert job is not None
        stream = stores_weights(job.params, Context(trial=number, seed=0, root=str(tmp_path), late=True))
        for point, (_, whole) in zip(stream, on_one_and_both(job.params), strict=True):
            if number >= 2 and point.windows == 50:
                study.report(number, replace(point, scores=whole.scores))
                study.prune(number)
                break
            if study.report(number, point) is Decision.SCORE:
                study.report(number, point)
        else:
            study.complete(number)
    study.close()
    before = study.records()
    assert [record.state for record in before[2:]] == [State.PRUNED] * (TRIALS - 2)
    (tmp_path / "mended").touch()
    records = again()[0].records()
    found = amended(before, records)
    assert {number for number, _ in found} & set(range(2, TRIALS))
    assert [(r.state, r.reason, len(r.curve)) for r in records] == [(r.state, r.reason, len(r.curve)) for r in before]
