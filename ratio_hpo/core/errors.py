"""What can go wrong, as one family. Users see the message alone: the rule, the value, where, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ratio_hpo.core.option_names import spelled


class RatioHpoError(ValueError):
    """Root of every error that a user can cause or mend.

    Attributes:
        exit_code: of the command line, which prints the message alone: 2 for bad input, 1 where the machine or the
            search is at fault.

    Examples:
        >>> try:
        ...     raise StudyError("no study named 'x'; name another ⟨root⟩")
        ... except RatioHpoError as error:
        ...     print(error, error.exit_code)
        no study named 'x'; name another `root` 2
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))

    def __str__(self) -> str:
        return spelled(super().__str__())


def printable(text: str) -> str:
    """The text with what a terminal would act on, or cannot show, written out; lines stay lines.

    Examples:
        >>> printable("a\\x1b[31mb\\ud800")
        'a\\\\x1b[31mb\\\\ud800'
    """
    return "".join(c if c == "\n" or not _ACTS.match(c) else c.encode("unicode_escape").decode() for c in text)


_ACTS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of writing, and halves of characters."""


class ConfigError(RatioHpoError):
    """A space or an experiment breaks a rule. `lines` holds one message a mistake.

    Examples:
        >>> ConfigError("a: is required; add it", "b: unknown key").lines
        ('a: is required; add it', 'b: unknown key')
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(printable(line) for line in lines)


class Mistakes:
    """Gathers the mistakes of several checks, so that all are told at once.

    Examples:
        >>> mistakes = Mistakes()
        >>> for key in ("a", "b"):
        ...     with mistakes.among():
        ...         raise ConfigError(f"{key}: unknown key")
        >>> mistakes.lines
        ['a: unknown key', 'b: unknown key']
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def among(self) -> Iterator[None]:
        """A check, whose mistakes are among them."""
        try:
            yield
        except ConfigError as error:
            self.lines += [line for line in error.lines if line not in self.lines]

    def tell(self) -> None:
        """Raise all of them.

        Raises:
            ConfigError: there are any.
        """
        if self.lines:
            raise ConfigError(*self.lines)


class DataError(RatioHpoError):
    """A data file is absent, unreadable or holds records that break its format."""


class StudyError(RatioHpoError):
    """A study is absent, belongs to another experiment, or cannot be opened.

    Examples:
        >>> StudyError("no study named 'x'").exit_code
        2
    """


class FirstTrialFailed(StudyError):
    """Trial 0 sets the target; without it nothing can be timed."""

    exit_code = 1


class ResumeError(RatioHpoError):
    """A checkpoint cannot be continued exactly."""


class StorageError(RatioHpoError):
    """A database that is there cannot be used: locked, full, read-only or damaged."""

    exit_code = 1


class StorageReplaced(StorageError):
    """A database was deleted, or another copy put in its place, while a process worked with it."""


class WorkBlocked(RatioHpoError):
    """Something that no trial would get past."""

    exit_code = 1


class FileFault(WorkBlocked):
    """A file cannot be read or written, and the trial that needs it is not to blame; it may pass."""


class StorageFullError(WorkBlocked):
    """The disk cannot hold what the stage store needs."""


class RemoteStoreError(WorkBlocked):
    """What machines remote store is away, or refuses."""


class ScoreError(RatioHpoError):
    """An evaluation that cannot be compared with the others of its study."""


class WorkLeft(RatioHpoError):
    """A search has ended before its work was done, and nothing says why."""

    exit_code = 1


class BatchTooLarge(Exception):
    """Windows that must go through the model together do not fit into memory.

    Examples:
        >>> print(BatchTooLarge("lareqa", 16))
        16 windows of lareqa, which are compared with each other, do not fit into memory; lower batch_size or max_length
    """

    def __init__(self, task: str, windows: int) -> None:
        super().__init__(task, windows)
        self.task, self.windows = task, windows

    def __str__(self) -> str:
        return (
            f"{self.windows} windows of {self.task}, which are compared with each other, do not fit into memory; lower "
            "batch_size or max_length"
        )


class Diverged(Exception):
    """A loss that is not finite. An outcome of a trial, not a mistake of the user.

    Attributes:
        stage, step: where it happened.
        parameters: the stage's learning rate and batch size, for the report.

    Examples:
        >>> print(Diverged("target", 7, {"learning_rate": 0.1}))
        diverged: non-finite loss in stage target at step 7 (learning_rate=0.1)
    """

    stage: str
    step: int
    parameters: Mapping[str, float]

    def __init__(self, stage: str, step: int, parameters: Mapping[str, float]) -> None:
        super().__init__(stage, step, parameters)
        self.stage, self.step, self.parameters = stage, step, parameters

    def __str__(self) -> str:
        settings = ", ".join(f"{key}={value:g}" for key, value in self.parameters.items())
        return f"diverged: non-finite loss in stage {self.stage} at step {self.step} ({settings})"


MAX_REASON = 300
"""Characters of the reason of a failed trial; its traceback keeps the rest."""


def in_one_line(error: BaseException) -> str:
    """What an error is and says.

    Examples:
        >>> in_one_line(ValueError("one\\ntwo"))
        'ValueError: one two'
    """
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…"
