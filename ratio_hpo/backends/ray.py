"""Ray Tune as an executor: one searcher, one scheduler and one warm trainable over the study of the driver.

Ray decides nothing and stores nothing: the searcher asks the study, the scheduler reports to it, and what Tune
writes for itself goes to a folder that is thrown away. Where an actor dies, its trial goes on in
another one from the stage store, under the same number, and what it reports again changes nothing.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, TypeVar

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from ratio_hpo.backends.driver import Late, Session
from ratio_hpo.backends.resources import Resources, num_gpus
from ratio_hpo.backends.steps import Ending, Step, close, next_step
from ratio_hpo.core.errors import ConfigError, StudyError
from ratio_hpo.core.trial import Context, Decision, Progress
from ratio_hpo.objective import Objective
from ratio_hpo.study import Job

IDLE = 0.5
"""Seconds between two questions for a trial where there was none."""

PENDING = "TUNE_MAX_PENDING_TRIALS_PG"
"""Tune's limit of actors that are being started; its default of 1 starts one after another."""

Taken = TypeVar("Taken")

OBJECT_STORE_BYTES = 256 * 1024 * 1024
"""Only parameters and scores travel through Ray."""


class TrialActor(tune.Trainable):
    """Runs trials one after another in a process that stays warm: one step is one evaluation."""

    def setup(self, config: dict[str, Any], objective: Objective | None = None) -> None:
        assert objective is not None
        self._objective = objective
        self._stream: Iterator[Progress] = self._open(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._stream = self._open(new_config)
        return True

    def step(self) -> dict[str, Any]:
        step = next_step(self._stream)
        if isinstance(step, Progress):
            return {"done": False, "progress": json.dumps(step.to_json())}  # Tune flattens mappings
        return {"done": True, "ending": json.dumps(asdict(step))}

    def cleanup(self) -> None:
        close(self._stream)

    def _open(self, config: dict[str, Any]) -> Iterator[Progress]:
        return self._objective(config["params"], Context.from_json(config["context"]))


class _Bridge:
    """What searcher and scheduler share: which of Tune's trials is which of ours, and what went wrong."""

    session: Session
    workers: int

    def __init__(self, session: Session, workers: int) -> None:
        self.session, self.workers = session, workers
        self.numbers: dict[str, int] = {}
        self.again: list[Job] = []
        self.error: BaseException | None = None
        self._asked = -IDLE
        self._late: dict[str, Late] = {}

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Tune pickles what it is given for a restore that is never done; the study stays out of it."""
        return object, ()

    def ask(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.error is not None:
            return Searcher.FINISHED
        if len(self.numbers) >= self.workers or (not self.again and time.monotonic() - self._asked < IDLE):
            return None
        job = self.again.pop() if self.again else self.session.next()
        if job is None:
            self._asked = time.monotonic()
            # one of those that run may die, and then goes on: there is more to come until all have ended
            return None if self.numbers or self.session.must_wait() else Searcher.FINISHED
        self.numbers[trial_id] = job.number
        return {"params": job.params, "context": asdict(self.session.context(job))}

    def report(self, trial_id: str, result: dict[str, Any]) -> str:
        if self.error is not None:
            return TrialScheduler.STOP
        decision = self._take(trial_id, Progress.from_json(json.loads(result["progress"])))
        return TrialScheduler.STOP if decision is Decision.STOP else TrialScheduler.CONTINUE

    def end(self, trial_id: str, result: dict[str, Any] | None, *, died: bool) -> None:
        if trial_id not in self.numbers or self.error is not None:
            return
        if died:
            number, late = self.numbers[trial_id], self._late.pop(trial_id, None)
            if late is not None:
                job = self._guarded(lambda: self.session.end_late(number, late))
            else:
                job = self._guarded(lambda: self.session.died(number, "killed, out of memory, or crashed"))
            if job is not None:
                self.again.append(job)
        elif result and "ending" in result:
            self._take(trial_id, Ending(**json.loads(result["ending"])))
        del self.numbers[trial_id]

    def is_late(self, trial_id: str) -> bool:
        """Whether a trial has passed a limit in time, which is told once."""
        number = self.numbers.get(trial_id)
        late = None if number is None or trial_id in self._late else self.session.late(number)
        if late is not None:
            self._late[trial_id] = late
        return late is not None

    def _take(self, trial_id: str, step: Step) -> Decision:
        taken = self._guarded(lambda: self.session.take(self.numbers[trial_id], step))
        return taken or Decision.STOP

    def _guarded(self, act: Callable[[], Taken]) -> Taken | None:
        """Do it; Tune would turn an error into one of its own, so it is raised after the run."""
        try:
            return act()
        except Exception as error:
            self.error = error
            return None


class StudySearcher(Searcher):
    """Asks the study for trials."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> Any:
        return self._bridge.ask(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._bridge.end(trial_id, result, died=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is in its storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is in its storage."""


class Watchdog(tune.Callback):
    """Ends actors whose trials have passed a limit in time."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        for trial in trials:
            actor = trial.temporary_state.ray_actor
            if trial.status == "RUNNING" and actor is not None and self._bridge.is_late(trial.trial_id):
                ray.kill(actor)


class StudyScheduler(FIFOScheduler):
    """Reports to the study, and passes its decision on."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return self._bridge.report(trial.trial_id, result)


def run_ray(session: Session, objective: Objective, workers: int, resources: Resources) -> None:
    """Work until the budget is spent, on a local Ray or on the cluster at `resources.ray_address`.

    Raises:
        StudyError: the cluster cannot be reached.
        KeyboardInterrupt: after the running trials were released for whoever continues.
    """
    _check_gpus(resources)
    asked = os.environ.setdefault(PENDING, str(workers))
    _start(workers, session.threads or 1, resources)
    bridge = _Bridge(session, workers)
    per_trial = {"cpu": resources.cpus or session.threads or 1, "gpu": resources.gpus_for(workers)}
    trainable = tune.with_resources(tune.with_parameters(TrialActor, objective=objective), per_trial)
    try:
        with tempfile.TemporaryDirectory(prefix="ratio-hpo-ray-") as folder:
            tuner = tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=StudySearcher(bridge),
                    scheduler=StudyScheduler(bridge),
                    num_samples=-1,
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="run",
                    storage_path=folder,
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=0),
                    callbacks=[Watchdog(bridge)],
                    checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                ),
            )
            tuner.fit()
        if bridge.error is not None:
            raise bridge.error
    finally:
        if asked == str(workers):  # the next search in this process may have another number of workers
            del os.environ[PENDING]
        session.study.close()
        ray.shutdown()


def _check_gpus(resources: Resources) -> None:
    """Tune would wait for ever for what is not there."""
    if resources.ray_address is None and (resources.gpus or 0.0) > num_gpus():
        raise ConfigError(f"⟨gpus_per_trial⟩ {resources.gpus:g}: this machine has {num_gpus()} GPU(s); lower it")


def _start(workers: int, threads: int, resources: Resources) -> None:
    """Start Ray, or reach it; what SIGTERM does here stays as it was, which Ray would change."""
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        _init(workers, threads, resources)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_term)


def _init(workers: int, threads: int, resources: Resources) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if resources.ray_address is not None:
        try:
            ray.init(address=resources.ray_address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise StudyError(
                f"⟨ray_address⟩ {resources.ray_address}: no cluster answers ({reason}); "
                "start one with `ray start --head`"
            ) from error
        return
    per_trial = resources.cpus or threads
    ray.init(
        num_cpus=max(workers, round(workers * per_trial + 0.499)),  # Ray starts as many processes at once
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        **options,
    )
