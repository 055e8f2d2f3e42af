"""Names that MLflow accepts; it rejects many names that measures, languages and parameters may have."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ratio_hpo.core.plans import WINDOWS
from ratio_hpo.core.trial import TrialRecord

MAX_NAME = 250

REAL_NAME = "name/"
"""Prefix of the tag that holds the real name of a renamed parameter, score or measure."""

_ODD = re.compile(r"[^\w/.\- :]|\n")


def safe_name(name: str) -> str:
    """Return a metric, parameter or tag name that MLflow accepts: the name itself, or a unique replacement.

    Examples:
        >>> safe_name("f1/sw"), safe_name("recall@10/zh (Hans)")
        ('f1/sw', 'recall_10/zh _Hans_-b57068')
    """
    safe = _ODD.sub("_", name)
    path = posixpath.normpath(safe).lstrip("/.") or "_"
    if path == name and len(name) <= MAX_NAME:
        return name
    mark = hashlib.blake2b(name.encode(errors="backslashreplace"), digest_size=3).hexdigest()
    return f"{path[: MAX_NAME - len(REAL_NAME) - len(mark) - 1]}-{mark}"


def whole(folder: Path) -> str | None:
    """Return None: the folder is not known to be damaged."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """Facts about a study, apart from its trials, that a tracker receives.

    Attributes:
        study: name of the study.
        experiment: name of the MLflow experiment that groups studies.
        ends: computes the final metrics of a finished trial (score, cost, cost to target, area over curve); infinity:
            censored.
        front: numbers of the trials that have a point on the front.
        kept: names of each trial's points whose weights are kept, on any machine.
        checkpoints: folders of the kept weights on this machine, by trial number.
        damaged: returns the name of a damaged file in such a folder, or None if all files are intact.
        timed: whether the target, and therefore cost to target, is known.
        datasets: fingerprint of each data set, by `<stage>/<source>`.
        base: name and fingerprint of the base model; None: no base model.
        languages: target languages.
        measure: name of the primary score.
        cost_unit: unit of costs: `windows` or `tokens`.
        parameters: names of the parameters of the space.
    """

    study: str
    experiment: str
    ends: Callable[[TrialRecord], Mapping[str, float]] = lambda record: {}
    front: frozenset[int] = frozenset()
    kept: Mapping[int, Sequence[str]] = field(default_factory=dict)
    checkpoints: Mapping[int, Sequence[Path]] = field(default_factory=dict)
    damaged: Callable[[Path], str | None] = whole
    timed: bool = False
    datasets: Mapping[str, str] = field(default_factory=dict)
    base: tuple[str, str] | None = None
    languages: Sequence[str] = ()
    measure: str = "F1"
    cost_unit: str = WINDOWS
    parameters: Sequence[str] = ()


def token(record: TrialRecord, *, on_front: bool, timed: bool) -> str:
    """Return a short token of what is written about a trial; equal tokens mean that nothing has changed."""
    ends = "timed" if timed and record.state.finished else "-"
    return f"{len(record.curve)}/{record.state.value}/{'front' if on_front else '-'}/{ends}"


def written_evaluations(mark: str | None, record: TrialRecord) -> int:
    """Return how many evaluations of a trial are already written, according to a token."""
    count = (mark or "").partition("/")[0]
    return int(count) if count.isdecimal() and int(count) <= len(record.curve) else 0


class Refused(Exception):
    """The tracking store rejects a value permanently; retrying cannot help."""


class Tracker(Protocol):
    """A destination that trials are written to. Any method may raise any exception; the call is retried later."""

    def written(self, study: str) -> Mapping[int, str]:
        """Return the token of each trial of a study that is already written."""
        ...

    def write(self, facts: StudyFacts, record: TrialRecord, since: int, mark: str) -> None:
        """Write a trial: its facts, the evaluations from index `since`, its end if it has one, and its token.

        The call is idempotent: writing the same content again changes nothing.
        """
        ...

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        """Store a trial's kept weights that are on this machine; delete stored weights that are no longer kept."""
        ...

    def write_study(self, facts: StudyFacts, mark: str, make: Callable[[Path], None]) -> None:
        """Store the files that `make` writes with the study; do nothing if `mark` is already stored."""
        ...
