"""Option names in messages: a message refers to an option as ⟨root⟩, which is shown as the user writes it.

In Python an option is shown as `root`; the entry point of the command line sets it to be shown as `--root`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

_NAMED = re.compile(r"⟨(\w+)⟩")
_spell: list[Callable[[str], str]] = [lambda name: f"`{name}`"]


def spelled(text: str) -> str:
    """Return the text with each ⟨option⟩ shown as the user writes it.

    Examples:
        >>> spelled("name another ⟨root⟩")
        'name another `root`'
    """
    return _NAMED.sub(lambda match: _spell[-1](match[1]), text)


def spell_as(how: Callable[[str], str]) -> None:
    """Set how options are shown from now on; called by an entry point.

    Args:
        how: Returns the text for an option's name.
    """
    _spell[:] = [how]


class RatioHpoError(ValueError):
    """Base class of all errors that a user can cause or fix.

    Attributes:
        exit_code: Exit code of the command line, which prints only the message: 2 for bad input, 1 for a fault of the
            machine or the search.

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
    """Return the text with control and unprintable characters escaped; line breaks are kept.

    Examples:
        >>> printable("a\\x1b[31mb\\ud800")
        'a\\\\x1b[31mb\\\\ud800'
    """
    return "".join(c if c == "\n" or not _ACTS.match(c) else c.encode("unicode_escape").decode() for c in text)


_ACTS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, bidirectional formatting characters and surrogates."""


class ConfigError(RatioHpoError):
    """An invalid space, experiment or option.

    Attributes:
        lines: One message for each mistake.

    Examples:
        >>> ConfigError("a: is required; add it", "b: unknown key").lines
        ('a: is required; add it', 'b: unknown key')
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(printable(line) for line in lines)


class Mistakes:
    """Collects the mistakes of several checks and raises them together.

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
        """Collect the `ConfigError` of the block."""
        try:
            yield
        except ConfigError as error:
            self.lines += [line for line in error.lines if line not in self.lines]

    def tell(self) -> None:
        """Raise all collected mistakes.

        Raises:
            ConfigError: If there are any.
        """
        if self.lines:
            raise ConfigError(*self.lines)


class DataError(RatioHpoError):
    """A data file that is absent, unreadable or holds invalid records."""


class StudyError(RatioHpoError):
    """A study that is absent, belongs to another experiment or cannot be opened.

    Examples:
        >>> StudyError("no study named 'x'").exit_code
        2
    """


class FirstTrialFailed(StudyError):
    """A failed trial 0: it sets the target score, so no cost to target can be measured."""

    exit_code = 1


class ResumeError(RatioHpoError):
    """A checkpoint from which training cannot be resumed exactly."""


class StorageError(RatioHpoError):
    """An existing database that cannot be used: locked, full, read-only or damaged."""

    exit_code = 1


class StorageReplaced(StorageError):
    """A database that was deleted or replaced while a process used it."""


class WorkBlocked(RatioHpoError):
    """A fault that would stop every trial."""

    exit_code = 1


class FileFault(WorkBlocked):
    """A file that cannot be read or written because of the machine; the error may be transient."""


class StorageFullError(WorkBlocked):
    """A disk without enough space for the stage store."""


class RemoteStoreError(WorkBlocked):
    """A remote store that is unavailable or refuses access."""


class ScoreError(RatioHpoError):
    """An evaluation whose scores cannot be compared with those of the study."""


class WorkLeft(RatioHpoError):
    """A search that ended before its work was done, for an unknown reason."""

    exit_code = 1


class BatchTooLarge(Exception):
    """Windows that the model must process together do not fit into memory.

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
    """A non-finite loss. It is an outcome of a trial, not a mistake of the user.

    Attributes:
        stage: Name of the stage.
        step: Step at which the loss became non-finite.
        parameters: Learning rate and batch size of the stage, for the report.

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
"""Maximum number of characters of a failure reason; the traceback holds the full text."""


def in_one_line(error: BaseException) -> str:
    """Return the type and message of an error in one line.

    Examples:
        >>> in_one_line(ValueError("one\\ntwo"))
        'ValueError: one two'
    """
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…"
