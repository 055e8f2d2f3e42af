"""Steps of a trial, and the messages between the driver and the processes that run trials. Cheap to import."""

from __future__ import annotations

import os
import select
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from ratio_hpo.core.errors import Diverged, WorkBlocked, in_one_line
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.retry import RetryWait, to_stderr
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.core.urls import shown_words

if TYPE_CHECKING:
    from ratio_hpo.objective import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """How a trial ended.

    Attributes:
        reason: Reason of a failure in one line; None: the trial finished.
        traceback: Traceback of the failure.
        blocked: Whether a fault of the machine (disk, network, remote store) ended it, which would stop every trial.
    """

    reason: str | None = None
    traceback: str | None = None
    blocked: bool = False


Step = Progress | TrialEnd
"""A step of a trial."""


@dataclass(frozen=True, slots=True)
class StartTrial:
    """The driver's request to start a trial."""

    params: Params
    context: Context


class Request(Enum):
    """The driver's request to a started trial: its next step, or to stop."""

    STEP = "step"
    STOP = "stop"


class NoTrial(Enum):
    """The driver's answer to `NextTrial` if no trial is available."""

    WAIT = "wait"
    FINISHED = "finished"


class NextTrial(NamedTuple):
    """Tune requests a trial, which it calls `trial_id`."""

    trial_id: str


class TrialProgress(NamedTuple):
    """Tune reports an evaluation; the answer is the decision."""

    trial_id: str
    progress: Progress


class TrialEnded(NamedTuple):
    """Tune reports that a trial ended, was stopped, or lost its process.

    Attributes:
        trial_id: Tune's name of the trial.
        ending: How the trial ended; None if it was stopped or its process died.
        died: Whether the process died.
        starved: Whether Ray killed the process because memory ran low.
    """

    trial_id: str
    ending: TrialEnd | None
    died: bool
    starved: bool


class RunningTrials(NamedTuple):
    """Tune asks which running trials have exceeded a time limit."""

    trial_ids: list[str]


class RayStarted(NamedTuple):
    """Ray is reached; its servers have these addresses."""

    servers: list[str]


class RayRefused(NamedTuple):
    """Ray cannot be reached or started."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """What Tune runs, and on which Ray.

    Attributes:
        address: Address of a running cluster; None: a local Ray.
        num_processes: Number of processes that a local Ray starts at once.
        object_store_bytes: Size of a local Ray's object store.
        workers: Number of concurrent trials.
        cpus, gpus: CPUs and GPUs for each trial.
        folder: Temporary folder of the files of Tune and of a local Ray.
        timed: Whether trials may exceed a time limit.
    """

    address: str | None
    num_processes: int
    object_store_bytes: int
    workers: int
    cpus: float
    gpus: float
    folder: str
    timed: bool


def stream_of(read: Callable[[], Objective], params: Params, context: Context) -> Iterator[Progress]:
    """Yield the progress of a trial; restart it after faults of the machine.

    A restarted trial resumes from its stored stages, and repeated evaluations change nothing.

    Args:
        read: Returns the objective; if it fails, the trial fails, not the process.
        params: Parameters of the trial.
        context: Context of the trial.

    Raises:
        Exception: Any error of the objective, and faults that last longer than `context.patience` seconds.
    """
    waiting = RetryWait(f"trial {context.trial}", context.patience, to_stderr)
    num_yielded = 0
    while True:
        stream: Iterable[Progress] = ()
        try:
            stream = read()(params, context)
            for count, step in enumerate(stream, 1):
                if count > num_yielded:  # a repeated evaluation does not show that the fault has passed
                    num_yielded = count
                    waiting.over()
                yield step
            return
        except Exception as error:  # objectives are user code
            if not is_fault(error) or not waiting.pause(in_one_line(error)):
                raise
        finally:
            getattr(stream, "close", lambda: None)()


def next_step(stream: Iterator[Progress]) -> Step:
    """Return the next evaluation of a trial, or its end; any error of the objective ends only its trial."""
    try:
        return next(stream)
    except StopIteration:
        return TrialEnd()
    except Diverged as error:
        return TrialEnd(reason=str(error))
    except WorkBlocked as error:
        return TrialEnd(reason=shown_words(str(error)), blocked=True)
    except SystemExit as error:
        return TrialEnd(reason=f"the objective called sys.exit({error.code!r}); use return to end a trial")
    except Exception as error:  # objectives are user code
        if is_fault(error) or (isinstance(error, BrokenPipeError) and _output_is_gone()):
            return TrialEnd(reason=shown_words(in_one_line(error)), blocked=True)
        return TrialEnd(reason=shown_words(in_one_line(error)), traceback=shown_words(traceback.format_exc()))


def close(stream: Iterator[Progress]) -> None:
    """Stop a trial at its current step; an error that its objective raises then is only printed."""
    try:
        getattr(stream, "close", lambda: None)()
    except (Exception, SystemExit) as error:  # clean-up runs user code
        with suppress(OSError):  # stderr may be closed
            print(f"an objective that was stopped raised {shown_words(in_one_line(error))}", file=sys.stderr)


def _output_is_gone() -> bool:
    """Return whether the output of this process is closed, as under `ratio-hpo search 2>&1 | head`."""
    poll = select.poll()
    for number in (1, 2):
        with suppress(OSError):
            os.fstat(number)
            poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
