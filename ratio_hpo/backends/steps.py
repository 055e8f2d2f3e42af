"""What comes next of a trial: an evaluation or its end. Light, for the processes that run objectives."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from ratio_hpo.core.errors import Diverged, WorkBlocked, in_one_line
from ratio_hpo.core.files import is_disk_full
from ratio_hpo.core.trial import Decision, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the stream of a trial's progress ended.

    Attributes:
        reason: of a failure, in one line; None: it came to its end.
        blocked: by a full disk, or a share that is away, so that no other trial would get further.
    """

    reason: str | None = None
    traceback: str | None = None
    blocked: bool = False


Step = Progress | Ending
"""What comes next of a trial."""


def next_step(stream: Iterator[Progress], *, score: bool = False) -> Step:
    """The next evaluation of a trial, or its end, whatever the objective raises: that belongs to its trial.

    Args:
        score: whether the last evaluation is wanted again, on `select` too.
    """
    try:
        if score and isinstance(stream, Generator):
            return stream.send(Decision.SCORE)
        return next(stream)
    except StopIteration:
        return Ending()
    except Diverged as error:
        return Ending(reason=str(error))
    except WorkBlocked as error:
        return Ending(reason=str(error), blocked=True)
    except SystemExit as error:
        return Ending(reason=f"the objective called sys.exit({error.code!r}), which ends no search; return instead")
    except Exception as error:  # whatever the user's objective raises
        if is_disk_full(error):
            return Ending(reason=in_one_line(error), blocked=True)
        return Ending(reason=in_one_line(error), traceback=traceback.format_exc())


def close(stream: Iterator[Progress]) -> None:
    """Close a trial where it stands; what its objective raises then comes too late to matter, and is shown alone."""
    try:
        getattr(stream, "close", lambda: None)()
    except (Exception, SystemExit) as error:  # whatever the user's clean-up raises
        print(f"an objective that was stopped raised {in_one_line(error)}", file=sys.stderr)
