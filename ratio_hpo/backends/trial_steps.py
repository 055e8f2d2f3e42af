"""What comes next of a trial: an evaluation or its end. Light, for the processes that run objectives."""

from __future__ import annotations

import os
import select
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratio_hpo.core.errors import Diverged, WorkBlocked, in_one_line
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.retry import RetryWait, to_stderr
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.core.urls import shown_words

if TYPE_CHECKING:
    from ratio_hpo.objective import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """How the stream of a trial's progress ended.

    Attributes:
        reason: of a failure, in one line; None: it came to its end.
        blocked: by the machine (a disk, a network, a remote store that is away), so that no other trial would get further.
    """

    reason: str | None = None
    traceback: str | None = None
    blocked: bool = False


Step = Progress | TrialEnd
"""What comes next of a trial."""


def stream_of(read: Callable[[], Objective], params: Params, context: Context) -> Iterator[Progress]:
    """The progress of a trial; where a fault of the machine ends it, it begins again until the fault has passed.

    A trial that begins again goes on from what it has stored, and an evaluation that it repeats changes nothing.

    Args:
        read: gives the objective; one that cannot be read here fails its trial, not the process.

    Raises:
        Exception: what the objective raises; a fault that has not passed after `context.patience` seconds.
    """
    waiting = RetryWait(f"trial {context.trial}", context.patience, to_stderr)
    most = 0
    while True:
        stream: Iterable[Progress] = ()
        try:
            stream = read()(params, context)
            for count, step in enumerate(stream, 1):
                if count > most:  # what comes again says nothing about the fault
                    most = count
                    waiting.over()
                yield step
            return
        except Exception as error:  # whatever the user's objective raises
            if not is_fault(error) or not waiting.pause(in_one_line(error)):
                raise
        finally:
            getattr(stream, "close", lambda: None)()


def next_step(stream: Iterator[Progress]) -> Step:
    """The next evaluation of a trial, or its end, whatever the objective raises: that belongs to its trial."""
    try:
        return next(stream)
    except StopIteration:
        return TrialEnd()
    except Diverged as error:
        return TrialEnd(reason=str(error))
    except WorkBlocked as error:
        return TrialEnd(reason=shown_words(str(error)), blocked=True)
    except SystemExit as error:
        return TrialEnd(reason=f"the objective called sys.exit({error.code!r}), which ends no search; return instead")
    except Exception as error:  # whatever the user's objective raises
        if is_fault(error) or (isinstance(error, BrokenPipeError) and _output_is_gone()):
            return TrialEnd(reason=shown_words(in_one_line(error)), blocked=True)
        return TrialEnd(reason=shown_words(in_one_line(error)), traceback=shown_words(traceback.format_exc()))


def close(stream: Iterator[Progress]) -> None:
    """Close a trial where it stands; what its objective raises then comes too late to matter, and is shown alone."""
    try:
        getattr(stream, "close", lambda: None)()
    except (Exception, SystemExit) as error:  # whatever the user's clean-up raises
        with suppress(OSError):  # who would read it has gone
            print(f"an objective that was stopped raised {shown_words(in_one_line(error))}", file=sys.stderr)


def _output_is_gone() -> bool:
    """Whether nobody reads what this process prints any more, as under `ratio-hpo search 2>&1 | head`."""
    poll = select.poll()
    for number in (1, 2):
        with suppress(OSError):
            os.fstat(number)
            poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
