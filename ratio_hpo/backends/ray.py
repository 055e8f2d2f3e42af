"""Ray as an executor: the driver answers what Tune asks from a process beside it, and starts Ray anew where it dies.

Ray decides nothing and stores nothing. Where an actor dies, its trial goes on in another one from the stage store,
under its number, and what it reports again changes nothing. Where one of Ray's own servers dies, all trials go on so.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ratio_hpo.backends.process import Gone, Process, packed, talking
from ratio_hpo.backends.resources import Resources, num_gpus
from ratio_hpo.backends.session import Session, TimeLimit
from ratio_hpo.backends.trial_steps import Step, TrialEnd
from ratio_hpo.core.errors import ConfigError, StudyError, in_one_line
from ratio_hpo.core.scratch import scratch_folder
from ratio_hpo.core.trial import Decision, Progress
from ratio_hpo.objective import Objective
from ratio_hpo.study import TrialAssignment

TUNE = "ratio_hpo.backends.ray_tune"

PROBE, PATIENCE = 5.0, 2.0
"""Seconds between two looks at Ray's servers, and that one has to answer."""

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's switch for nodes that others may join; off, its servers, workers and driver bind to the loopback address."""

LEAVE = 30.0
"""Seconds that Ray has to end when all is done."""

OBJECT_STORE_BYTES = 256 * 1024 * 1024
"""Only parameters and scores travel through Ray."""


class RayDied(Exception):
    """Ray, or the process that talks to it, is gone; the text says how."""


class Refused(Exception):
    """Ray cannot be reached or started; the text says why."""


class RayDispatcher:
    """What runs on Ray, as the study knows it: which of Tune's trials is which of ours, and what is to go on.

    Attributes:
        told: evaluations and ends that were told by the Ray that runs now.
        reached: there was a Ray.
    """

    def __init__(self, session: Session, workers: int) -> None:
        self._session, self._workers = session, workers
        self._numbers: dict[str, int] = {}
        self._again: list[tuple[float, TrialAssignment]] = []
        self._late: dict[str, TimeLimit] = {}
        self.told, self.reached = 0, False

    def next(self, trial_id: str) -> dict[str, Any]:
        """What one of Tune's trials is to do: a job, or to wait, or nothing any more."""
        wait: dict[str, Any] = {"finished": False}
        if len(self._numbers) >= self._workers:
            return wait
        job = self._next_job()
        if job is None:
            # one of those that run may die, and then goes on: there is more to come until all have ended
            return {"finished": not (self._numbers or self._again or self._session.must_wait())}
        self._numbers[trial_id] = job.number
        return {"job": {"params": job.params, "context": asdict(self._session.context(job))}}

    def report(self, trial_id: str, progress: Progress) -> str:
        """What becomes of the trial after an evaluation."""
        return self._take(self._numbers[trial_id], progress).value

    def end(self, trial_id: str, ending: TrialEnd | None, *, died: bool, starved: bool) -> None:
        """A trial has ended, was stopped, or its process has died.

        Args:
            starved: Ray has killed it for want of memory.
        """
        number, late = self._numbers.pop(trial_id), self._late.pop(trial_id, None)
        if died:
            if late is not None:
                job = self._session.end_late(number, late)
            else:
                how = "Ray killed it: its node ran low on memory" if starved else "killed, out of memory, or crashed"
                job = self._session.died(number, how, starved=starved)
            if job is not None:
                self._again.append((time.monotonic() + self._session.pause(number), job))
        elif ending is not None:
            self._take(number, ending)

    def late(self, trial_ids: list[str]) -> list[str]:
        """Those of them that have passed a limit in time, each of which is named once."""
        found = {name: self._session.late(self._numbers[name]) for name in trial_ids if name in self._numbers}
        late = {name: late for name, late in found.items() if late is not None and name not in self._late}
        self._late.update(late)
        return list(late)

    def fell(self) -> None:
        """Ray is gone: what ran goes on in the next one, and no trial is to blame."""
        jobs = [self._session.go_on(number) for number in self._numbers.values()]
        self._again += [(0.0, job) for job in jobs if job is not None]
        self._numbers, self._late = {}, {}

    def _next_job(self) -> TrialAssignment | None:
        now = time.monotonic()
        ready = next((entry for entry in self._again if entry[0] <= now), None)
        if ready is None:
            return self._session.next()
        self._again.remove(ready)
        return ready[1]

    def _take(self, number: int, step: Step) -> Decision:
        self.told += 1
        return self._session.take(number, step)


def run_ray(session: Session, objective: Objective, workers: int, resources: Resources) -> None:
    """Work until the budget is spent, on a local Ray or on the cluster at `resources.ray_address`.

    Raises:
        ConfigError: the objective cannot be sent, or asks for GPUs that are not there.
        StudyError: Ray cannot be reached or started, or dies again and again.
        KeyboardInterrupt: after the running trials were released for whoever continues.
    """
    _check_gpus(resources)
    source, floor, deaths = packed(objective), RayDispatcher(session, workers), 0
    try:
        while True:
            try:
                return _run(floor, source, session, workers, resources)
            except RayDied as death:
                deaths = 1 if floor.told else deaths + 1
                floor.fell()
                if deaths > session.budget.retries:
                    raise StudyError(f"Ray ended {deaths} times without an evaluation in between: {death}") from death
                wait = (PROBE if resources.ray_address else 1.0) * 2.0 ** (deaths - 1)
                session.say(f"Ray ended ({death}); it is started anew in {wait:.0f} s, and its trials go on")
                time.sleep(wait)
    finally:
        session.study.close()


def _run(floor: RayDispatcher, source: bytes, session: Session, workers: int, resources: Resources) -> None:
    """Run one Ray to the end of the work.

    Raises:
        RayDied: it is gone.
        StudyError: it cannot be reached or started, and never was.
    """
    floor.told = 0
    try:
        _check_address(resources)
        with scratch_folder() as folder, closing(_process(source, folder, resources)) as process:
            process.send(_asked(session, workers, resources, folder))
            try:
                _serve(floor, process)
                process.close(LEAVE)
            except Gone as error:
                lines = (folder / "log").read_text(errors="replace").splitlines()
                reason = next((line.strip() for line in reversed(lines) if line.strip()), "")
                raise RayDied(": ".join(filter(None, (process.how(), reason)))) from error
    except Refused as error:
        if floor.reached:
            raise RayDied(str(error)) from error
        raise StudyError(_refused(resources, str(error))) from error


def _process(source: bytes, folder: Path, resources: Resources) -> Process:
    """The process that Tune runs in. A Ray of this machine alone listens on 127.0.0.1 alone."""
    return Process(TUNE, source, folder / "log", {LOOPBACK: "0"} if resources.ray_address is None else None)


def _check_address(resources: Resources) -> None:
    """Ask before Ray does, which would try for minutes.

    Raises:
        Refused: nobody answers at the address.
    """
    address = resources.ray_address or ""
    silence = _silence(address) if re.fullmatch(r"[^/]+:\d+", address) else None
    if silence is not None:
        raise Refused(silence)


def _serve(floor: RayDispatcher, process: Process) -> None:
    """Answer until Tune has ended.

    Raises:
        Gone: the process is gone.
        RayDied: one of Ray's servers does not answer.
        Refused: Ray cannot be reached or started.
    """
    servers, probed = [], time.monotonic()
    while True:
        with talking():
            has_said = process.has_said(max(0.0, probed + PROBE - time.monotonic()))
        if time.monotonic() - probed >= PROBE:
            _probe(servers)
            probed = time.monotonic()
        if not has_said:
            continue
        answer = None
        with talking():
            said = process.receive()
        match said:
            case {"next": trial_id}:
                answer = floor.next(trial_id)
            case {"told": trial_id, "progress": progress}:
                answer = floor.report(trial_id, Progress.from_json(progress))
            case {"ended": trial_id, "ending": ending, "died": died, "starved": starved}:
                floor.end(trial_id, TrialEnd(**ending) if ending else None, died=died, starved=starved)
            case {"late": trial_ids}:
                answer = floor.late(trial_ids)
            case {"servers": servers}:
                floor.reached = True
            case {"refused": reason}:
                raise Refused(reason)
            case _:
                return
        process.send(answer)


def _probe(servers: list[str]) -> None:
    """See whether Ray's servers answer.

    Raises:
        RayDied: one does not.
    """
    for address in servers:
        silence = _silence(address)
        if silence is not None:
            raise RayDied(f"its server at {address} does not answer: {silence}")


def _silence(address: str) -> str | None:
    """Why nobody answers at `host:port`; None: somebody does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        return in_one_line(error)
    return None


def _check_gpus(resources: Resources) -> None:
    """Tune would wait for ever for what is not there."""
    if resources.ray_address is None and (resources.gpus or 0.0) > num_gpus():
        raise ConfigError(f"⟨gpus_per_trial⟩ {resources.gpus:g}: this machine has {num_gpus()} GPU(s); lower it")


def _asked(session: Session, workers: int, resources: Resources, folder: Path) -> dict[str, Any]:
    """What Tune is to run, and on which Ray."""
    threads = session.threads or 1
    per_trial = resources.cpus or threads
    here = {
        "num_cpus": max(workers, round(workers * per_trial + 0.499)),  # Ray starts as many processes at once
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(folder),
    }
    return {
        "init": here if resources.ray_address is None else {"address": resources.ray_address},
        "workers": workers,
        "per_trial": {"cpu": per_trial, "gpu": resources.gpus_for(workers)},
        "folder": str(folder),
        "timed": session.budget.is_timed,
    }


def _refused(resources: Resources, reason: str) -> str:
    if resources.ray_address is None:
        return f"Ray cannot be started here: {reason}; try ⟨backend⟩ local"
    return (
        f"⟨ray_address⟩ {resources.ray_address}: no cluster answers ({reason}); start one with `ray start --head`, and "
        "where it asks for a token, set RAY_AUTH_MODE=token"
    )
