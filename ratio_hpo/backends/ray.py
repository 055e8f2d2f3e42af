"""Ray Tune as an executor: one searcher, one scheduler and one warm trainable over the study of the driver.

Ray decides nothing and stores nothing: the searcher asks the study, the scheduler reports to it, and what Tune
writes for itself goes to a folder that is thrown away. An actor that dies is restarted by Tune; its trial goes on
from the stage store under the same number, and what it reports again changes nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

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

from ratio_hpo.backends.driver import Session
from ratio_hpo.backends.resources import Resources, num_gpus
from ratio_hpo.core.errors import ConfigError, Diverged, StorageFullError, StudyError
from ratio_hpo.core.trial import Context, Decision, Progress
from ratio_hpo.objective import Objective

RESTARTS = 3
"""Times that a trial goes on after its actor died, before the trial is given up."""

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
        try:
            progress = next(self._stream, None)
        except Diverged as error:
            return {"done": True, "failure": str(error), "traceback": None}
        except StorageFullError as error:
            return {"done": True, "failure": str(error), "storage_full": True}
        except Exception as error:  # whatever the user's objective raises belongs to its trial
            failure = f"{type(error).__name__}: {error}"
            return {"done": True, "failure": failure, "traceback": traceback.format_exc()}
        if progress is None:
            return {"done": True, "failure": None}
        return {"done": False, "progress": json.dumps(progress.to_json())}  # Tune flattens mappings

    def cleanup(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()

    def _open(self, config: dict[str, Any]) -> Iterator[Progress]:
        return self._objective(config["params"], Context.from_json(config["context"]))


class _Bridge:
    """What searcher and scheduler share: which of Tune's trials is which of ours, and what went wrong."""

    session: Session
    workers: int

    def __init__(self, session: Session, workers: int) -> None:
        self.session, self.workers = session, workers
        self.numbers: dict[str, int] = {}
        self.error: BaseException | None = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Tune pickles what it is given for a restore that is never done; the study stays out of it."""
        return object, ()

    def ask(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.error is not None:
            return Searcher.FINISHED
        if len(self.numbers) >= self.workers:
            return None
        job = self.session.next()
        if job is None:
            return None if self.session.must_wait() else Searcher.FINISHED
        self.numbers[trial_id] = job.number
        return {"params": job.params, "context": asdict(self.session.context(job))}

    def report(self, trial_id: str, result: dict[str, Any]) -> str:
        number = self.numbers[trial_id]
        if self.error is not None:
            return TrialScheduler.STOP
        if self.session.report(number, Progress.from_json(json.loads(result["progress"]))) is Decision.STOP:
            self.session.prune(number)
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE

    def end(self, trial_id: str, result: dict[str, Any] | None, *, died: bool) -> None:
        number = self.numbers.pop(trial_id, None)
        if number is None or self.error is not None:
            return
        try:
            if result and result.get("storage_full"):
                self.error = StorageFullError(result["failure"])
            elif died:
                self.session.fail(number, f"its worker died {RESTARTS + 1} times (out of memory?)", None)
            elif result and "failure" in result:
                if result["failure"] is None:
                    self.session.complete(number)
                else:
                    self.session.fail(number, result["failure"], result.get("traceback"))
        except Exception as error:  # Tune would turn it into one of its own; it is raised after the run
            self.error = error


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
                    failure_config=tune.FailureConfig(max_failures=RESTARTS),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                ),
            )
            tuner.fit()
        if bridge.error is not None:
            raise bridge.error
    finally:
        session.study.close()
        ray.shutdown()


def _check_gpus(resources: Resources) -> None:
    """Tune would wait for ever for what is not there."""
    if resources.ray_address is None and (resources.gpus or 0.0) > num_gpus():
        raise ConfigError(f"--gpus-per-trial {resources.gpus:g}: this machine has {num_gpus()} GPU(s); lower it")


def _start(workers: int, threads: int, resources: Resources) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if resources.ray_address is not None:
        try:
            ray.init(address=resources.ray_address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise StudyError(
                f"--ray-address {resources.ray_address}: no cluster answers ({reason}); "
                "start one with `ray start --head`"
            ) from error
        return
    per_trial = resources.cpus or threads
    ray.init(
        num_cpus=max(1, round(workers * per_trial + 0.499)),
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        **options,
    )
