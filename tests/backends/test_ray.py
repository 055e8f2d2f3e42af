"""Ray on a real local cluster: the trials equal those of the reference loop, and lost workers fail no trial."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ratio_hpo.backends.resources import Resources
from ratio_hpo.backends.session import Budget, Session, TooManyFailures
from ratio_hpo.backends.trial_steps import StartTrial, TrialEnded
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Context, Params, Progress, State
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study, TargetScore
from tests.backends.objectives import hangs_once
from tests.conftest import curve_objective, plan_of


@pytest.fixture
def on_ray(tmp_path: Path) -> Callable[..., Study]:
    def run(
        objective: Callable, trials: int, workers: int = 1, failures: int | None = None,
        plan: dict | None = None, limits: dict | None = None, **options: Any,
    ) -> Study:  # fmt: skip
        from ratio_hpo.backends.ray import run_ray

        study = Study(plan_of("ray", **(plan or {})), open_storage(default_url(tmp_path)), **options)
        budget = Budget(trials=trials, failures=failures, **(limits or {}))
        session = Session(study=study, budget=budget, root=tmp_path, threads=1)
        run_ray(session, objective, workers, Resources(backend="ray", workers=workers, cpus=0.5))
        return study

    return run


def outcome(study: Study) -> list[tuple]:
    return [
        (r.state, r.kind, r.params, r.reason, [(p.windows, p.scores) for p in r.curve], r.values)
        for r in study.records()
    ]


def test_ray_and_the_reference_loop_give_the_same_trials(on_ray: Callable, tmp_path: Path) -> None:
    from ratio_hpo.backends.local import run_local

    local = Study(plan_of("local"), open_storage(default_url(tmp_path)))
    run_local(Session(study=local, budget=Budget(trials=10), root=tmp_path), curve_objective)
    study = on_ray(curve_objective, 10)
    assert outcome(study) == outcome(local)
    assert {r.state for r in study.records()} == {State.COMPLETE, State.PRUNED}


def faulty(params: Params, context: Context) -> Iterator[Progress]:
    """The worker of trial 1 dies once, halfway; trial 3 raises an error."""
    for progress in curve_objective(params, context):
        if context.trial == 1 and progress.windows == 50:
            mark = Path(context.root) / "died"
            if not mark.exists():
                mark.touch()
                os._exit(1)
        if context.trial == 3 and progress.windows == 20:
            raise RuntimeError("bad luck")
        yield progress


@pytest.mark.slow
def test_a_dead_worker_is_no_failure_and_an_error_is(on_ray: Callable) -> None:
    records = on_ray(faulty, 6, workers=2).records()
    assert len(records) == 6
    assert [p.windows for p in records[1].curve] == list(range(10, 110, 10))
    assert records[1].state is State.COMPLETE
    assert records[3].state is State.FAIL
    assert records[3].reason == "RuntimeError: bad luck"
    assert "bad luck" in str(records[3].traceback)


def unlucky(params: Params, context: Context) -> Iterator[Progress]:
    if context.trial >= 2:
        raise RuntimeError("bad luck")
    yield from curve_objective(params, context)


@pytest.mark.slow
def test_too_many_failures_stop_the_search(on_ray: Callable) -> None:
    with pytest.raises(
        TooManyFailures,
        match="in a row failed with the same error, as many as `max_failures` allows: RuntimeError: bad luck",
    ):
        on_ray(unlucky, 8, failures=2)


@pytest.mark.slow
def test_a_trial_that_stands_still_goes_on_in_another_actor(on_ray: Callable) -> None:
    study = on_ray(hangs_once, 4, plan={"languages": ()}, limits={"stall_minutes": 15 / 60})
    assert [record.state for record in study.records()] == [State.COMPLETE] * 4
    assert [len(record.curve) for record in study.records()] == [10] * 4


def always_dies(params: Params, context: Context) -> Iterator[Progress]:
    """The worker of trial 2 dies at its first step in every attempt."""
    if context.trial == 2:
        os._exit(0)
    yield from curve_objective(params, context)


@pytest.mark.slow
def test_a_trial_that_kills_its_worker_four_times_fails_and_the_others_run(on_ray: Callable) -> None:
    records = on_ray(always_dies, 5).records()
    assert records[2].state is State.FAIL
    assert "its process died 4 times without a new evaluation" in str(records[2].reason)
    assert all(record.state in (State.COMPLETE, State.PRUNED) for record in records if record.number != 2)


def waits_for_three_others(params: Params, context: Context) -> Iterator[Progress]:
    """Continue once four trials have started, which needs four workers at the same time."""
    root, patience = Path(context.root), time.monotonic() + 120
    (root / f"{context.trial}-{os.getpid()}").touch()
    while len(list(root.glob("[0-9]*-*"))) < 4 and time.monotonic() < patience:
        time.sleep(0.1)
    yield from curve_objective(params, context)


@pytest.mark.slow
def test_all_workers_work_at_once(on_ray: Callable, tmp_path: Path) -> None:
    on_ray(waits_for_three_others, 6, workers=4)
    ran = [path.name.partition("-") for path in tmp_path.glob("[0-9]*-*")]
    assert {int(trial) for trial, _, _ in ran} == set(range(6))
    assert len({process for _, _, process in ran}) == 4


def slow(params: Params, context: Context) -> Iterator[Progress]:
    for progress in curve_objective(params, context):
        time.sleep(0.3)
        yield progress


def kills(study: Study, names: list[str], killed: dict[str, float]) -> None:
    """Kill the named Ray servers of this process in turn, each after a new trial has reported an evaluation."""
    for name in names:
        num_started = len(study.state.records)
        while len(study.state.records) <= num_started or not study.state.records[-1].curve:
            time.sleep(0.1)
        [server] = [p for p in psutil.Process().children(recursive=True) if p.name() == name]
        server.kill()
        killed[name] = time.monotonic()


@pytest.mark.slow
def test_a_killed_server_of_ray_is_noticed_and_the_trials_go_on_in_the_same_search(tmp_path: Path) -> None:
    from ratio_hpo.backends.local import run_local
    from ratio_hpo.backends.ray import run_ray

    local = Study(plan_of("local"), open_storage(default_url(tmp_path)))
    run_local(Session(study=local, budget=Budget(trials=6), root=tmp_path), curve_objective)
    killed: dict[str, float] = {}
    noticed: list[tuple[float, str]] = []
    study = Study(plan_of("ray"), open_storage(default_url(tmp_path)))
    session = Session(
        study=study, budget=Budget(trials=6), root=tmp_path, threads=1,
        say=lambda line: noticed.append((time.monotonic(), line)),
    )  # fmt: skip
    killer = threading.Thread(target=kills, args=(study, ["gcs_server", "raylet"], killed), daemon=True)
    killer.start()
    run_ray(session, slow, 1, Resources(backend="ray", workers=1, cpus=0.5))
    killer.join()
    assert outcome(study) == outcome(local)
    assert len(noticed) == 2
    assert all("resuming its trials" in line for _, line in noticed)
    for (seen, _), done in zip(noticed, killed.values(), strict=True):
        assert seen - done < 15  # the documented limit; servers are checked every 5 s
    assert [p.name() for p in psutil.Process().children(recursive=True) if p.name() in killed] == []


@pytest.mark.slow
def test_ray_that_dies_again_and_again_ends_the_search_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ratio_hpo.backends.ray import run_ray

    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "nonsense")
    study = Study(plan_of("ray"), open_storage(default_url(tmp_path)))
    session = Session(study=study, budget=Budget(trials=1, retries=1), root=tmp_path, threads=1)
    with pytest.raises(StudyError, match="Ray ended 2 times without an evaluation in between"):
        run_ray(session, curve_objective, 1, Resources(backend="ray", workers=1))


def test_a_trial_gets_no_more_gpus_than_the_built_in_objective_uses(tmp_path: Path) -> None:
    from ratio_hpo.core.errors import ConfigError
    from ratio_hpo.experiment import RunOptions, build_search

    options = RunOptions(root=tmp_path, gpus_per_trial=2.0)
    with pytest.raises(ConfigError, match="trains on one GPU, but got 2"):
        build_search(options, print)
    assert Resources(gpus=2.0).gpus_for(1) == 2.0  # a custom objective gets what it requests
    assert list(tmp_path.iterdir()) == []


def sleeps(params: Params, context: Context) -> Iterator[Progress]:
    time.sleep(60)
    yield from curve_objective(params, context)


@pytest.mark.slow
def test_a_trial_that_ray_kills_for_memory_says_so(on_ray: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """With this setting, Ray considers a node full at 1 % of its memory."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    plan, limits = {"target": TargetScore(score=0.5)}, {"retries": 1}
    [record] = on_ray(sleeps, 1, plan=plan, limits=limits).records()[:1]
    assert record.state is State.FAIL
    assert "its process died 2 times" in str(record.reason)
    assert "Ray killed it: its node ran low on memory" in str(record.reason)


def test_a_trial_that_ray_kills_for_memory_goes_on_smaller(tmp_path: Path) -> None:
    from ratio_hpo.backends.ray import RayDispatcher

    study = Study(plan_of(), open_storage(default_url(tmp_path)))
    floor = RayDispatcher(Session(study=study, budget=Budget(trials=2), root=tmp_path), workers=1)
    first = floor.next("first")
    assert isinstance(first, StartTrial)
    assert first.context.smaller == 0
    floor.end(TrialEnded("first", None, died=True, starved=True))
    time.sleep(0.6)
    again = floor.next("second")
    assert isinstance(again, StartTrial)
    assert (again.context.trial, again.context.smaller) == (0, 1)
