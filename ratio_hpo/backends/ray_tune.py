"""Ray Tune in a subprocess of the driver: a searcher, a scheduler and a reusable trainable that decide nothing.

They send all requests to the driver, one at a time; the files of Tune go to a temporary folder. Ray ends its client
process when one of its servers dies, and changes the process's signal handlers. The subprocess keeps both away from
the study.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypedDict

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # keep the working folder of the driver
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from ratio_hpo.backends import trial_steps as messages
from ratio_hpo.backends.process import connect, unpacked
from ratio_hpo.backends.trial_steps import Step, TrialEnd, close, next_step, stream_of
from ratio_hpo.core.errors import in_one_line
from ratio_hpo.core.trial import Decision, Progress
from ratio_hpo.objective import Objective

POLL_SECONDS = 0.5
"""Interval of requests for a trial while none is available, and of checks of time limits, in seconds."""

PENDING = "TUNE_MAX_PENDING_TRIALS_PG"
"""Variable of Tune's limit of actors that start at once; its default of 1 starts them one after another."""


class Config(TypedDict):
    """Tune's configuration of a trial."""

    trial: messages.StartTrial


class Result(TypedDict):
    """Tune's result of a step."""

    done: bool
    step: Step


class TrialActor(tune.Trainable):
    """Trainable that runs trials one after another in one process; a step is an evaluation."""

    def setup(self, config: Config, objective: bytes = b"", path: tuple[str, ...] = (), folder: str = ".") -> None:
        sys.path.extend(entry for entry in path if entry not in sys.path)
        if os.path.isdir(folder):  # use the working folder of the driver if the machines share a disk
            os.chdir(folder)
        self._read: Callable[[], Objective] = cache(lambda: unpacked(objective))
        self._stream: Iterator[Progress] = iter(())
        self.reset_config(config)

    def reset_config(self, new_config: Config) -> bool:
        close(self._stream)
        trial = new_config["trial"]
        self._stream = stream_of(self._read, trial.params, trial.context)
        return True

    def step(self) -> Result:
        step = next_step(self._stream)
        return Result(done=isinstance(step, TrialEnd), step=step)

    def cleanup(self) -> None:
        close(self._stream)


LOW_MEMORY = "low on memory"
"""Part of Ray's message about an actor that it killed because memory ran low."""


class Driver:
    """Client of the driver, used by the components of Tune.

    Attributes:
        starved: Tune's trials whose actors Ray killed because memory ran low.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.starved: set[str] = set()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Leave the pipe out when Tune pickles its components for a restore, which never happens."""
        return object, ()

    def ask(self, message: object) -> Any:
        """Send a message and return the answer; end this process if the driver has ended."""
        try:
            self._pipe.send(message)
            return self._pipe.recv()
        except (EOFError, OSError):
            os._exit(1)

    def tell_end(self) -> None:
        """Tell the driver that Tune has ended."""
        self._pipe.send(None)


class StudySearcher(Searcher):
    """Searcher that requests trials from the driver."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver, self._last_request = driver, -POLL_SECONDS

    def suggest(self, trial_id: str) -> Any:
        if time.monotonic() - self._last_request < POLL_SECONDS:
            return None
        answer = self._driver.ask(messages.NextTrial(trial_id))
        if isinstance(answer, messages.StartTrial):
            return Config(trial=answer)
        self._last_request = time.monotonic()
        return Searcher.FINISHED if answer is messages.NoTrial.FINISHED else None

    def on_trial_complete(self, trial_id: str, result: Mapping[str, object] | None = None, error: bool = False) -> None:
        self._last_request = -POLL_SECONDS  # a worker is free
        step = (result or {}).get("step")
        ending = step if isinstance(step, TrialEnd) else None
        self._driver.ask(messages.TrialEnded(trial_id, ending, died=error, starved=trial_id in self._driver.starved))

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study is in its storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the study is in its storage."""


class StudyScheduler(FIFOScheduler):
    """Scheduler that reports evaluations to the driver and returns its decision."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Result) -> str:
        progress = result["step"]
        assert isinstance(progress, Progress)  # Tune reports the end of a trial to the searcher only
        decision = self._driver.ask(messages.TrialProgress(trial.trial_id, progress))
        return TrialScheduler.STOP if decision is Decision.STOP else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Record whether memory ran low, before the searcher is called; Tune writes the message to a file."""
        error_file = Path(trial.error_file or "")
        if error_file.is_file() and LOW_MEMORY in error_file.read_text(errors="replace"):
            self._driver.starved.add(trial.trial_id)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Return None, so that Tune assigns a free actor to the trial that was requested last.

        An actor is already starting for the first waiting trial. If that trial were returned, Tune would kill its
        actor and start another for the last trial, and with short trials most starts would be wasted.
        """


class Watchdog(tune.Callback):
    """Callback that kills the actors of trials that exceeded a time limit."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._checked = driver, 0.0

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._checked < POLL_SECONDS:
            return
        self._checked = time.monotonic()
        actors = {t.trial_id: t.temporary_state.ray_actor for t in trials if t.status == "RUNNING"}
        running = [name for name, actor in actors.items() if actor is not None]
        for trial_id in self._driver.ask(messages.RunningTrials(running)):
            ray.kill(actors[trial_id])


def work(pipe: Connection, objective: bytes) -> None:
    """Run the trials of the driver until it has no more work."""
    options: messages.TuneOptions = pipe.recv()
    driver = Driver(pipe)
    try:
        if options.address is not None:
            ray.init(options.address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                num_cpus=options.num_processes,
                include_dashboard=False,
                object_store_memory=options.object_store_bytes,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=options.folder,
            )
    except (OSError, ValueError, RuntimeError) as error:
        driver.ask(messages.RayRefused(in_one_line(error)))
        return
    driver.ask(messages.RayStarted(_servers()))
    os.environ.setdefault(PENDING, str(options.workers))
    trainable = tune.with_parameters(TrialActor, objective=objective, path=tuple(sys.path), folder=os.getcwd())
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": options.cpus, "gpu": options.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(driver),
            scheduler=StudyScheduler(driver),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="run",
            storage_path=options.folder,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[Watchdog(driver)] if options.timed else [],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    tuner.fit()
    driver.tell_end()
    ray.shutdown()


def _servers() -> list[str]:
    """Return the addresses to check: Ray's global control store and the server of this node."""
    context = ray.get_runtime_context()
    this_node = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    return [context.gcs_address, f"{this_node['NodeManagerAddress']}:{this_node['NodeManagerPort']}"]


if __name__ == "__main__":
    work(*connect())
