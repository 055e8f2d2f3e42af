"""The reference loop: custom objectives that misbehave, in this process and in a subprocess; limits of a search."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from ratio_hpo import load_study
from ratio_hpo.backends import process as memory
from ratio_hpo.backends import session as session_module
from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.session import Budget, Session, TooManyFailures, kind_of_error
from ratio_hpo.core.errors import ConfigError, FirstTrialFailed
from ratio_hpo.core.trial import Context, Params, Progress, State, TrialRecord
from ratio_hpo.objective import CheckedObjective
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.storage.leases import TERM, LeaseWatch, own_lease, renew_lease, take_lease
from ratio_hpo.study import Study, TargetScore
from ratio_hpo.study.study import MAX_ADOPTIONS
from tests.backends.objectives import (
    LETTERS,
    RUNGS,
    adds_a_language,
    cleans_up,
    crashes,
    dies,
    dies_once_a_rung,
    drops_a_language,
    early,
    endless,
    exits,
    hangs_once,
    is_slow,
    names_weights_by_a_path,
    point,
    says_it_in_three_lines,
    says_little_at_first,
    scores_a_letter,
    starves,
    where_it_runs,
)
from tests.conftest import Hand, curve_objective, plan_of


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between attempts of a trial whose process dies."""
    monkeypatch.setattr(session_module, "PAUSE", 0.01)


Run = Callable[..., list[TrialRecord]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs an objective in a subprocess for some trials and returns all trials."""

    def searched(objective: Any, trials: int = 4, *, isolated: bool = True, **limits: Any) -> list[TrialRecord]:
        plan = plan_of(target=TargetScore(score=0.5))
        study = Study(plan, open_storage(default_url(tmp_path)), pruner=("none", {}))
        checked = CheckedObjective(objective, plan.rungs, (), plan.largest_cost)
        run_local(
            Session(study=study, budget=Budget(trials=trials, **limits), root=tmp_path), checked, isolated=isolated
        )
        return study.records()

    return searched


@pytest.mark.parametrize("isolated", [True, False])
def test_leaving_python_fails_the_trial_alone(run: Run, isolated: bool) -> None:
    records = run(exits, isolated=isolated)
    assert [r.state.value for r in records] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert "the objective called sys.exit(0)" in str(records[1].reason)


@pytest.mark.parametrize(("objective", "how"), [(dies, "exit code 0"), (crashes, "signal 11, SIGSEGV")])
def test_a_trial_that_kills_its_process_four_times_fails_and_the_others_run(run: Run, objective: Any, how: str) -> None:
    records = run(objective)
    assert [r.state.value for r in records] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert records[1].reason == f"its process died 4 times without a new evaluation ({how})"
    assert [r.state.value for r in run(objective, 5)] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]


def test_attempts_that_get_further_do_not_count(run: Run) -> None:
    record = run(dies_once_a_rung, 2)[1]
    assert record.state is State.COMPLETE
    assert [p.windows for p in record.curve] == list(RUNGS)


def test_a_trial_that_the_kernel_kills_for_memory_goes_on_smaller(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other trials keep their size."""
    (tmp_path / "vmstat").write_text("pgfault 7\noom_kill 3\n")
    monkeypatch.setattr(memory, "COUNTERS", tmp_path / "vmstat")
    records = run(starves, 3)
    assert [r.state for r in records] == [State.COMPLETE] * 3
    assert [r.curve[-1].primary_score for r in records] == pytest.approx([0.5, 0.7, 0.5])


def test_trial_0_that_kills_its_process_ends_the_search(tmp_path: Path) -> None:
    def dies_first(params: Params, context: Context) -> Iterator[Progress]:
        os._exit(0)
        yield

    study = Study(plan_of(), open_storage(default_url(tmp_path)))
    with pytest.raises(FirstTrialFailed, match="its process died 4 times"):
        run_local(Session(study=study, budget=Budget(trials=3), root=tmp_path), dies_first, isolated=True)


def test_a_language_that_is_missing_or_new_fails_its_trial(run: Run) -> None:
    records = run(drops_a_language)
    assert [r.state.value for r in records] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert "scores need f1/sw or score/sw at every evaluation, but at target window 20 got" in str(records[1].reason)
    assert [p.windows for p in records[1].curve] == [10]


def test_a_trial_in_other_languages_than_the_study_fails(run: Run) -> None:
    records = run(adds_a_language)
    assert [r.state.value for r in records] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    assert "score/ko is new at target window 100" in str(records[2].reason)
    assert records[2].curve == ()


def test_a_first_evaluation_without_languages_sets_the_rule_too(run: Run) -> None:
    records = run(says_little_at_first, 3)
    assert [r.state.value for r in records] == ["COMPLETE", "FAIL", "FAIL"]
    assert "score/en is new" in str(records[1].reason)


@pytest.mark.parametrize("isolated", [True, False])
def test_a_trial_that_is_stopped_cleans_up_and_harms_nobody_by_it(
    isolated: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(target=TargetScore(score=0.5), baselines=())
    study = Study(plan, open_storage(default_url(tmp_path)), pruner=("threshold", {"lower": 0.5}))
    run_local(Session(study=study, budget=Budget(trials=3), root=tmp_path), cleans_up, isolated=isolated)
    assert [r.state.value for r in study.records()] == ["COMPLETE", "PRUNED", "PRUNED"]
    assert sorted(path.name for path in tmp_path.glob("clean-*")) == ["clean-0", "clean-1", "clean-2"]
    assert "an objective that was stopped raised RuntimeError: in the clean-up" in capfd.readouterr().err


def test_a_reason_is_one_line(run: Run) -> None:
    assert run(says_it_in_three_lines, 2)[1].reason == "ValueError: one two three"


def test_what_no_message_can_hold_is_told_at_once(run: Run) -> None:
    record = run(names_weights_by_a_path, 2)[1]
    assert record.reason == "TypeError: progress needs weights as a string, but got a PosixPath"


def test_a_trial_that_has_cost_all_it_may_is_complete_whatever_the_pruner_says(tmp_path: Path) -> None:
    plan = plan_of(target=TargetScore(score=0.5), baselines=(), largest_cost=100.0)
    study = Study(plan, open_storage(default_url(tmp_path)), pruner=("threshold", {"lower": 0.4, "n_warmup_steps": 5}))
    checked = CheckedObjective(early, plan.rungs, (), plan.largest_cost)
    run_local(Session(study=study, budget=Budget(trials=2), root=tmp_path), checked)
    for record in study.records():
        assert record.curve[-1].primary_score < 0.4  # the pruner would stop it at its last point, the fifth rung
        assert (record.curve[-1].cost, record.state) == (100.0, State.COMPLETE)


@pytest.mark.parametrize("isolated", [True, False])
def test_a_generator_without_end_is_complete_at_the_largest_cost(run: Run, isolated: bool, tmp_path: Path) -> None:
    records = run(endless, 3, isolated=isolated)
    assert [r.state.value for r in records] == ["COMPLETE"] * 3
    assert all([p.cost for p in r.curve] == [*range(7, 105, 7), 105][: len(r.curve)] for r in records)
    assert all(r.curve[-1].cost == 105 and r.curve[-2].cost == 98 for r in records)
    assert sorted(path.name for path in tmp_path.glob("closed-*")) == ["closed-0", "closed-1", "closed-2"]


def test_one_warm_process_of_its_own_that_leaves_stdout_alone(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(where_it_runs, 4)
    [process] = set((tmp_path / "processes").read_text().split())
    assert int(process) != os.getpid()
    assert not psutil.pid_exists(int(process))
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("noise on stdout") == 4


def test_what_is_printed_in_this_process_goes_to_stderr(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run(where_it_runs, 2, isolated=False)
    out, err = capfd.readouterr()
    assert (out, err.count("noise on stdout")) == ("", 2)


def test_what_cannot_be_sent_is_told(run: Run) -> None:
    lock = threading.Lock()

    def holds_a_lock(params: Params, context: Context) -> Iterator[Progress]:
        with lock:
            yield point(100)

    with pytest.raises(ConfigError, match="cannot be sent to a subprocess"):
        run(holds_a_lock)
    assert run(holds_a_lock, 2, isolated=False)[1].state is State.COMPLETE


DRIVER = (
    "import sys; from pathlib import Path\n"
    "from tests.backends.objectives import forever\n"
    "from tests.conftest import plan_of\n"
    "from ratio_hpo.backends.session import Budget, Session\n"
    "from ratio_hpo.backends.local import run_local\n"
    "from ratio_hpo.study import Study, TargetScore\n"
    "from ratio_hpo.storage.connect import default_url, open_storage\n"
    "root = Path(sys.argv[1])\n"
    "study = Study(plan_of(target=TargetScore(score=0.5), baselines=()), open_storage(default_url(root)))\n"
    "run_local(Session(study=study, budget=Budget(trials=1), root=root), forever, isolated=True)\n"
)


def test_drivers_that_die_over_a_trial_are_counted_and_their_workers_go(tmp_path: Path) -> None:
    """Three driver crashes do not fail the trial; more than MAX_ADOPTIONS crashes do."""
    begun = tmp_path / "begun"
    for attempt in range(1, 4):
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], cwd=Path(__file__).parents[2])
        while not begun.exists() or len(begun.read_text().split()) < attempt:
            assert driver.poll() is None
            time.sleep(0.05)
        driver.kill()
        driver.wait()
    plan = plan_of(target=TargetScore(score=0.5), baselines=())
    study = Study(plan, open_storage(default_url(tmp_path)))
    assert study.next(1) is not None
    assert study.running[0].adoptions == 3
    study.running[0].adoptions = MAX_ADOPTIONS
    study.close()
    last = Study(plan, open_storage(default_url(tmp_path)))
    assert last.next(1) is not None  # MAX_ADOPTIONS crashes are still tolerated
    assert last.running[0].adoptions == MAX_ADOPTIONS
    last.running[0].adoptions = MAX_ADOPTIONS + 1
    last.close()
    again = Study(plan, open_storage(default_url(tmp_path)))
    assert again.next(1) is None
    assert again.records()[0].state is State.FAIL
    assert f"its driver died {MAX_ADOPTIONS} times without a new evaluation" in str(again.records()[0].reason)
    deadline = time.monotonic() + 10
    children = [int(word) for word in begun.read_text().split()]
    while any(psutil.pid_exists(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(psutil.pid_exists(child) for child in children)


def test_a_released_trial_was_no_attempt(tmp_path: Path) -> None:
    plan = plan_of(target=TargetScore(score=0.5), baselines=())
    for _ in range(6):
        study = Study(plan, open_storage(default_url(tmp_path)))
        assert study.next(1) is not None
        study.close()
    assert study.records()[0].state is State.RUNNING


@pytest.mark.parametrize(
    ("limits", "trials", "words"),
    [
        ({"cost": 250.0}, 3, "⟨max_cost⟩ 250"),  # trials begin at 0, 100 and 200 windows
        ({"cost": 200.0}, 2, "⟨max_cost⟩ 200"),
        ({"hours": 1e-9}, 0, "⟨max_hours⟩ 1e-09"),
        ({}, 8, None),
    ],
)
def test_no_trial_is_begun_beyond_a_limit(
    limits: dict[str, float], trials: int, words: str | None, tmp_path: Path
) -> None:
    study = Study(plan_of(target=TargetScore(score=0.5)), open_storage(default_url(tmp_path)), pruner=("none", {}))
    session = Session(study=study, budget=Budget(trials=8, **limits), root=tmp_path)
    run_local(session, curve_objective)
    assert sum(record.state.finished for record in study.records()) == trials
    assert (session.limit is not None and words in session.limit) if words else session.limit is None


def test_the_search_waits_for_a_lease_that_may_be_of_a_dead_driver(tmp_path: Path) -> None:
    """The search waits until an unrenewed lease of another host expires; it does not wait for a renewed lease."""
    study = Study(plan_of(target=TargetScore(score=0.5), baselines=()), open_storage(default_url(tmp_path)))
    study.next(1)
    storage, trial_id = study.storage, study.running[0].trial_id
    elsewhere = replace(own_lease(trial_id), host="far/away", pid=1)
    assert take_lease(storage, elsewhere, study.running[0].lease, lambda connection: True)
    other = Study(plan_of(target=TargetScore(score=0.5), baselines=()), open_storage(default_url(tmp_path)))
    clock = Hand()
    other.running.watch = LeaseWatch(clock)
    assert other.next(1) is None
    told: list[str] = []
    session = Session(study=other, budget=Budget(trials=1), root=tmp_path, say=told.append)
    assert session.must_wait()
    assert session.must_wait()
    assert len(told) == 1, "it is said once"
    assert "far" in told[0]
    renewed = renew_lease(storage, elsewhere, 0.0)
    assert renewed is not None
    assert not session.must_wait(), "somebody renews it: that driver is alive"
    again = Session(study=other, budget=Budget(trials=1), root=tmp_path)
    for _ in range(int(TERM)):
        assert again.must_wait()
        assert other.next(1) is None
        clock.sleep(1.0)
    job = other.next(1)
    assert job is not None
    assert job.number == 0


def test_what_a_restarted_worker_spends_again_is_counted(tmp_path: Path) -> None:
    """An actor reports 30 windows and dies; the next one trains from the start before it gets further."""
    study = Study(
        plan_of(target=TargetScore(score=0.5), baselines=()), open_storage(default_url(tmp_path)), pruner=("none", {})
    )
    assert study.next(1) is not None
    for windows in (10, 20, 30):
        study.report(0, point(windows))
    for windows in (10, 20, 30, 40):  # the restarted worker reports from the start
        study.report(0, point(windows))
    assert [p.paid_cost for p in study.records()[0].curve] == [10, 20, 30, 70]


def alone(tmp_path: Path, objective: Any, trials: int = 3, **limits: float) -> tuple[Session, list[TrialRecord]]:
    """Run a study in one subprocess, with time limits."""
    plan = plan_of(target=TargetScore(score=0.5), baselines=(), languages=())
    study = Study(plan, open_storage(default_url(tmp_path)), pruner=("none", {}), sampler=("random", {}))
    session = Session(study=study, budget=Budget(trials=trials, **limits), root=tmp_path)
    run_local(session, objective, isolated=True)
    return session, study.records()


@pytest.mark.slow
def test_a_trial_that_stands_still_goes_on_in_another_process(tmp_path: Path) -> None:
    _, records = alone(tmp_path, hangs_once, stall_minutes=10 / 60)
    assert [record.state for record in records] == [State.COMPLETE] * 3
    assert [len(record.curve) for record in records] == [10] * 3


@pytest.mark.slow
def test_a_trial_that_takes_too_long_fails_alone(tmp_path: Path) -> None:
    _, records = alone(tmp_path, is_slow, trial_minutes=9 / 60)
    assert [record.state for record in records] == [State.COMPLETE, State.FAIL, State.COMPLETE]
    assert "longer than 0.15 min" in str(records[1].reason)
    assert 0 < len(records[1].curve) < 10


@pytest.mark.slow
def test_max_hours_lets_go_of_a_trial_in_its_middle(tmp_path: Path) -> None:
    session, records = alone(tmp_path, is_slow, hours=9 / 3600)
    assert session.limit is not None
    assert records[1].state is State.RUNNING
    assert 0 < len(records[1].curve) < 10
    assert records[1].worker is None
    _, records = alone(tmp_path, is_slow)
    assert [record.state for record in records] == [State.COMPLETE] * 3
    assert [len(record.curve) for record in records] == [10] * 3


def breaks_at(*numbers: int) -> Callable[[Params, Context], Iterator[Progress]]:
    """Return an objective that fails some trials with the same error, in which only the numbers differ."""

    def objective(params: Params, context: Context) -> Iterator[Progress]:
        if context.trial in numbers:
            raise RuntimeError(f"no room for {context.trial * 1.5} GB at 0x7f{context.trial}a")
        yield from curve_objective(params, context)

    return objective


def test_one_error_many_times_in_a_row_ends_the_search_with_it(tmp_path: Path) -> None:
    study = Study(plan_of(), open_storage(default_url(tmp_path)))
    session = Session(study=study, budget=Budget(trials=12, failures=3), root=tmp_path)
    with pytest.raises(TooManyFailures, match=r"3 trial\(s\) in a row .*: RuntimeError: no room for 10.5 GB"):
        run_local(session, breaks_at(2, 3, 5, 6, 7, 9))
    assert [record.number for record in study.records() if record.is_failure] == [2, 3, 5, 6, 7]
    assert len(study.records()) == 8


def test_other_errors_between_break_the_row() -> None:
    assert kind_of_error("ValueError: 3 of 0x7fab") == kind_of_error("ValueError: 1.5 of 0x1")
    assert kind_of_error("ValueError: 3") != kind_of_error("KeyError: 3")


def test_a_registered_component_exists_in_the_process_of_an_isolated_trial(tmp_path: Path) -> None:
    LETTERS.register("half", 0.25)
    try:
        _, records = alone(tmp_path, scores_a_letter, trials=1)
    finally:
        del LETTERS._registered["half"]
    assert [point.scores["f1/en"] for point in records[0].curve] == [0.25]


def test_pauses_between_attempts_grow(tmp_path: Path) -> None:
    study = Study(plan_of(), open_storage(default_url(tmp_path)))
    session = Session(study=study, budget=Budget(trials=1), root=tmp_path)
    assert session.next() is not None
    pauses = []
    for _ in range(3):
        session.died(0, "killed")
        pauses.append(session.pause(0) / session_module.PAUSE)
    assert pauses == [1, 2, 4]
    study.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_objective_that_prints_to_nobody_fails_no_trial(workers: str, tmp_path: Path) -> None:
    """The reader of the output closes it, as in `ratio-hpo search 2>&1 | head -1`."""
    (tmp_path / "talks.py").write_text(
        "import time\nfrom ratio_hpo import Progress\n\n\ndef train(params, context):\n    for w in (100, 200, 300):\n"
        "        time.sleep(0.3)\n        print('hello', flush=True)\n"
        "        yield Progress(stage='target', windows=w, cost=w, scores={'f1/en': 0.5})\n"
    )
    command = f"{sys.executable} -m ratio_hpo search --objective talks:train --rungs 100,200,300 --trials 3"
    command += f" --no-tracking --workers {workers} 2>&1 | head -1"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    records = load_study(root=tmp_path / "mlruns").trials()
    assert "FAIL" not in set(records["state"])
