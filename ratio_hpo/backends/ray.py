"""The Ray backend: the driver answers requests of Ray Tune, which runs in a subprocess, and restarts Ray if it dies.

Ray decides and stores nothing. If an actor dies, another actor resumes its trial from the stage store under the same
number; repeated reports change nothing. If one of Ray's servers dies, all running trials are resumed in this way.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import closing
from pathlib import Path

from ratio_hpo.backends import trial_steps as messages
from ratio_hpo.backends.process import Gone, Process, packed, talking
from ratio_hpo.backends.resources import Resources, num_gpus
from ratio_hpo.backends.session import Session, TimeLimit
from ratio_hpo.backends.trial_steps import Step
from ratio_hpo.core.errors import ConfigError, StudyError, in_one_line
from ratio_hpo.core.files import scratch_folder
from ratio_hpo.core.trial import Decision
from ratio_hpo.objective import Objective
from ratio_hpo.study import TrialAssignment

TUNE = "ratio_hpo.backends.ray_tune"

PROBE, PATIENCE = 5.0, 2.0
"""Interval of the checks of Ray's servers, and timeout of a check, in seconds."""

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's switch for clusters; if off, its servers, workers and driver bind to the loopback address."""

LEAVE = 30.0
"""Time for Ray to shut down at the end of the work, in seconds."""

OBJECT_STORE_BYTES = 256 * 1024 * 1024
"""Size of Ray's object store, which holds only parameters and scores."""


class RayDied(Exception):
    """Ray or the process that runs it has died; the text gives the cause."""


class Refused(Exception):
    """Ray cannot be reached or started; the text gives the reason."""


class RayDispatcher:
    """Mapping of Tune's trials to trials of the study, with the trials that are to be resumed.

    Args:
        session: The run of the search.
        workers: Number of concurrent trials.

    Attributes:
        told: Number of evaluations and ends reported by the current Ray.
        reached: Whether Ray was ever reached.
    """

    def __init__(self, session: Session, workers: int) -> None:
        self._session, self._workers = session, workers
        self._numbers: dict[str, int] = {}
        self._to_resume: list[tuple[float, TrialAssignment]] = []
        self._late: dict[str, TimeLimit] = {}
        self.told, self.reached = 0, False

    def next(self, trial_id: str) -> messages.StartTrial | messages.NoTrial:
        """Return the next trial, to wait, or that all work is done."""
        if len(self._numbers) >= self._workers:
            return messages.NoTrial.WAIT
        job = self._next_job()
        if job is None:
            # a running trial may die and be resumed, so the work is done only when all have ended
            is_busy = self._numbers or self._to_resume or self._session.must_wait()
            return messages.NoTrial.WAIT if is_busy else messages.NoTrial.FINISHED
        self._numbers[trial_id] = job.number
        return messages.StartTrial(job.params, self._session.context(job))

    def report(self, message: messages.TrialProgress) -> Decision:
        """Record an evaluation and return the decision."""
        return self._take(self._numbers[message.trial_id], message.progress)

    def end(self, message: messages.TrialEnded) -> None:
        """Record that a trial ended, was stopped, or lost its process."""
        number, late = self._numbers.pop(message.trial_id), self._late.pop(message.trial_id, None)
        if not message.died:
            if message.ending is not None:
                self._take(number, message.ending)
            return
        if late is not None:
            job = self._session.end_late(number, late)
        else:
            how = "killed, out of memory, or crashed"
            if message.starved:
                how = "Ray killed it: its node ran low on memory"
            job = self._session.died(number, how, starved=message.starved)
        if job is not None:
            self._to_resume.append((time.monotonic() + self._session.pause(number), job))

    def late(self, trial_ids: list[str]) -> list[str]:
        """Return the trials that have exceeded a time limit; each trial is returned once."""
        limits = {name: self._session.late(self._numbers[name]) for name in trial_ids if name in self._numbers}
        late = {name: late for name, late in limits.items() if late is not None and name not in self._late}
        self._late.update(late)
        return list(late)

    def fell(self) -> None:
        """Schedule all running trials to be resumed after Ray has died, without counting a failure."""
        jobs = [self._session.go_on(number) for number in self._numbers.values()]
        self._to_resume += [(0.0, job) for job in jobs if job is not None]
        self._numbers, self._late = {}, {}

    def _next_job(self) -> TrialAssignment | None:
        now = time.monotonic()
        ready = next((entry for entry in self._to_resume if entry[0] <= now), None)
        if ready is None:
            return self._session.next()
        self._to_resume.remove(ready)
        return ready[1]

    def _take(self, number: int, step: Step) -> Decision:
        self.told += 1
        return self._session.take(number, step)


def run_ray(session: Session, objective: Objective, workers: int, resources: Resources) -> None:
    """Run trials until the budget is spent, on a local Ray or on the cluster at `resources.ray_address`.

    Raises:
        ConfigError: If the objective cannot be pickled, or more GPUs are requested than exist.
        StudyError: If Ray cannot be reached or started, or dies repeatedly.
        KeyboardInterrupt: On Ctrl-C, after the running trials were released.
    """
    if resources.ray_address is None and (resources.gpus or 0.0) > num_gpus():  # Tune would wait for them forever
        raise ConfigError(f"⟨gpus_per_trial⟩ {resources.gpus:g}: this machine has {num_gpus()} GPU(s); lower it")
    source, dispatcher, deaths = packed(objective), RayDispatcher(session, workers), 0
    try:
        while True:
            try:
                return _run(dispatcher, source, session, workers, resources)
            except RayDied as death:
                deaths = 1 if dispatcher.told else deaths + 1
                dispatcher.fell()
                if deaths > session.budget.retries:
                    raise StudyError(f"Ray ended {deaths} times without an evaluation in between: {death}") from death
                wait = (PROBE if resources.ray_address else 1.0) * 2.0 ** (deaths - 1)
                session.say(f"Ray ended ({death}); restarting it in {wait:.0f} s and resuming its trials")
                time.sleep(wait)
    finally:
        session.study.close()


def _run(dispatcher: RayDispatcher, source: bytes, session: Session, workers: int, resources: Resources) -> None:
    """Run Ray once, until the work is done.

    Raises:
        RayDied: If Ray dies, or cannot be reached any more.
        StudyError: If Ray was never reached and cannot be started.
    """
    dispatcher.told = 0
    address = resources.ray_address
    try:
        # Ray itself would retry for minutes
        silence = _silence(address) if address is not None and re.fullmatch(r"[^/]+:\d+", address) else None
        if silence is not None:
            raise Refused(silence)
        # a local Ray listens only on 127.0.0.1
        environment = {LOOPBACK: "0"} if address is None else None
        with scratch_folder() as folder, closing(Process(TUNE, source, folder / "log", environment)) as process:
            process.send(_tune_options(session, workers, resources, folder))
            try:
                _serve(dispatcher, process)
                process.close(LEAVE)
            except Gone as error:
                lines = (folder / "log").read_text(errors="replace").splitlines()
                reason = next((line.strip() for line in reversed(lines) if line.strip()), "")
                raise RayDied(": ".join(filter(None, (process.how(), reason)))) from error
    except Refused as error:
        if dispatcher.reached:
            raise RayDied(str(error)) from error
        raise StudyError(_refusal(resources, str(error))) from error


def _serve(dispatcher: RayDispatcher, process: Process) -> None:
    """Answer requests until Tune ends.

    Raises:
        Gone: If the subprocess has died.
        RayDied: If one of Ray's servers does not answer.
        Refused: If Ray cannot be reached or started.
    """
    servers: list[str] = []
    probed = time.monotonic()
    while True:
        with talking():
            has_said = process.has_said(max(0.0, probed + PROBE - time.monotonic()))
        if time.monotonic() - probed >= PROBE:
            for address in servers:
                silence = _silence(address)
                if silence is not None:
                    raise RayDied(f"its server at {address} does not answer: {silence}")
            probed = time.monotonic()
        if not has_said:
            continue
        answer = None
        with talking():
            message = process.receive()
        match message:
            case messages.NextTrial(trial_id):
                answer = dispatcher.next(trial_id)
            case messages.TrialProgress():
                answer = dispatcher.report(message)
            case messages.TrialEnded():
                dispatcher.end(message)
            case messages.RunningTrials(trial_ids):
                answer = dispatcher.late(trial_ids)
            case messages.RayStarted(servers):
                dispatcher.reached = True
            case messages.RayRefused(reason):
                raise Refused(reason)
            case _:
                return
        process.send(answer)


def _silence(address: str) -> str | None:
    """Return why nothing answers at `host:port`; None if it answers."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        return in_one_line(error)
    return None


def _tune_options(session: Session, workers: int, resources: Resources, folder: Path) -> messages.TuneOptions:
    """Return what Tune is to run, and on which Ray."""
    cpus = resources.cpus or session.threads or 1
    return messages.TuneOptions(
        address=resources.ray_address,
        num_processes=max(workers, round(workers * cpus + 0.499)),
        object_store_bytes=OBJECT_STORE_BYTES,
        workers=workers,
        cpus=cpus,
        gpus=resources.gpus_for(workers),
        folder=str(folder),
        timed=session.budget.is_timed,
    )


def _refusal(resources: Resources, reason: str) -> str:
    if resources.ray_address is None:
        return f"Ray cannot be started on this machine: {reason}; use ⟨backend⟩ local"
    return (
        f"⟨ray_address⟩ {resources.ray_address}: no cluster answers ({reason}); start one with `ray start --head`, and "
        "set RAY_AUTH_MODE=token if it requires a token"
    )
