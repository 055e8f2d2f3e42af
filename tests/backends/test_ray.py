"""Ray on a real local cluster: the same trials as the reference loop, faults that are no failures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ratio_hpo.backends.driver import Budget, Session, TooManyFailures
from ratio_hpo.backends.resources import Resources
from ratio_hpo.core.trial import Context, Params, Progress, State
from ratio_hpo.study import Study
from ratio_hpo.study.storage import default_url, open_storage
from tests.conftest import curve_objective, plan_of


@pytest.fixture
def on_ray(tmp_path: Path) -> Callable[..., Study]:
    def run(objective: Callable, trials: int, workers: int = 1, failures: int | None = None) -> Study:
        from ratio_hpo.backends.ray import run_ray

        study = Study(plan_of("ray"), open_storage(default_url(tmp_path)))
        budget = Budget(trials=trials, failures=failures)
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
    """Trial 1's worker dies once, half-way; trial 3 raises."""
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
    with pytest.raises(TooManyFailures, match="more than `max_failures` 1"):
        on_ray(unlucky, 8, failures=1)
