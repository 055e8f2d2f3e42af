"""Ray Tune in a process beside the driver: one searcher, one scheduler and one warm trainable, which decide nothing.

Whatever they want to know they ask the driver, one message after another; what Tune writes for itself goes to a folder
that is thrown away. Ray ends the process that talks to it where one of its own servers dies, and changes what signals
do in it: here neither reaches the study.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # relative paths of an objective stay those of the driver
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

import cloudpickle
import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from ratio_hpo.backends.process import connect
from ratio_hpo.backends.trial_steps import close, next_step, stream_of
from ratio_hpo.core.errors import in_one_line
from ratio_hpo.core.trial import Context, Decision, Progress
from ratio_hpo.objective import Objective

POLL_SECONDS = 0.5
"""Seconds between two questions for a trial, where there was none, or for limits in time."""

PENDING = "TUNE_MAX_PENDING_TRIALS_PG"
"""Tune's limit of actors that are being started; its default of 1 starts one after another."""


class TrialActor(tune.Trainable):
    """Runs trials one after another in a process that stays warm: one step is one evaluation."""

    def setup(
        self, config: dict[str, Any], objective: bytes = b"", path: tuple[str, ...] = (), folder: str = "."
    ) -> None:
        sys.path.extend(entry for entry in path if entry not in sys.path)
        if os.path.isdir(folder):  # relative paths of an objective are those of the driver, where machines share a disk
            os.chdir(folder)
        self._read: Callable[[], Objective] = cache(lambda: cloudpickle.loads(objective))
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
        return stream_of(self._read, config["params"], Context.from_json(config["context"]))


LOW_MEMORY = "low on memory"
"""What Ray says of an actor that it has killed before the kernel had to."""


class Driver:
    """The driver, as Tune's parts see it.

    Attributes:
        starved: Tune's trials whose actors Ray has killed for want of memory.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.starved: set[str] = set()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Tune pickles what it is given for a restore that is never done; the pipe stays out of it."""
        return object, ()

    def ask(self, **question: Any) -> Any:
        """Its answer; where it is gone, this process is at its end."""
        try:
            self._pipe.send_bytes(json.dumps(question).encode())
            return json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)

    def tell_end(self) -> None:
        """There is nothing left to run."""
        self._pipe.send_bytes(b"{}")


class StudySearcher(Searcher):
    """Asks the driver for trials."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver, self._asked = driver, -POLL_SECONDS

    def suggest(self, trial_id: str) -> Any:
        if time.monotonic() - self._asked < POLL_SECONDS:
            return None
        answer = self._driver.ask(next=trial_id)
        if "job" in answer:
            return answer["job"]
        self._asked = time.monotonic()
        return Searcher.FINISHED if answer["finished"] else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._asked = -POLL_SECONDS  # there is a free worker
        ending = json.loads((result or {}).get("ending") or "null")
        self._driver.ask(ended=trial_id, died=error, starved=trial_id in self._driver.starved, ending=ending)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is in its storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is in its storage."""


class StudyScheduler(FIFOScheduler):
    """Reports to the driver, and passes its decision on."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = Decision(self._driver.ask(told=trial.trial_id, progress=json.loads(result["progress"])))
        return TrialScheduler.STOP if decision is Decision.STOP else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Comes before the searcher hears of it; Tune keeps of most errors only what they say, in a file."""
        told = Path(trial.error_file or "")
        if told.is_file() and LOW_MEMORY in told.read_text(errors="replace"):
            self._driver.starved.add(trial.trial_id)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None in particular: Tune then gives a free actor to the trial that was asked for last.

        The first one that waits has an actor of its own, which is being started; Tune would kill that one and start
        another for the trial asked for last, so that where trials are short most starts come to nothing.
        """


class Watchdog(tune.Callback):
    """Ends actors whose trials have passed a limit in time."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._looked = driver, 0.0

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._looked < POLL_SECONDS:
            return
        self._looked = time.monotonic()
        actors = {t.trial_id: t.temporary_state.ray_actor for t in trials if t.status == "RUNNING"}
        for trial_id in self._driver.ask(late=[name for name, actor in actors.items() if actor is not None]):
            ray.kill(actors[trial_id])


def work(pipe: Connection, objective: bytes) -> None:
    """Run what the driver has to run, until it has nothing left."""
    asked = json.loads(pipe.recv_bytes())
    driver = Driver(pipe)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **asked["init"])
    except (OSError, ValueError, RuntimeError) as error:
        driver.ask(refused=in_one_line(error))
        return
    driver.ask(servers=_servers())
    os.environ.setdefault(PENDING, str(asked["workers"]))
    trainable = tune.with_parameters(TrialActor, objective=objective, path=tuple(sys.path), folder=os.getcwd())
    tuner = tune.Tuner(
        tune.with_resources(trainable, asked["per_trial"]),
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(driver),
            scheduler=StudyScheduler(driver),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="run",
            storage_path=asked["folder"],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[Watchdog(driver)] if asked["timed"] else [],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    tuner.fit()
    driver.tell_end()
    ray.shutdown()


def _servers() -> list[str]:
    """The addresses that must answer: of Ray's store, and of this node's own server."""
    context = ray.get_runtime_context()
    here = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    return [context.gcs_address, f"{here['NodeManagerAddress']}:{here['NodeManagerPort']}"]


if __name__ == "__main__":
    work(*connect())
