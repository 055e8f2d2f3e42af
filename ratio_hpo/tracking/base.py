"""What a tracker must do, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ratio_hpo.core.plans import WINDOWS
from ratio_hpo.core.trial import TrialRecord

Ends = Callable[[TrialRecord], Mapping[str, float]]
"""Final numbers of a finished trial (F1, cost, cost to target, area over the curve); infinity: censored."""


def no_ends(record: TrialRecord) -> Mapping[str, float]:
    """The final numbers of a study that has none."""
    return {}


def whole(folder: Path) -> str | None:
    """Nothing is known to be damaged."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What a tracker is told of a study beside its trials.

    Attributes:
        experiment: groups studies.
        front: numbers of the trials that have a point on the front.
        kept: names of the points of each trial whose weights are kept, wherever they are.
        checkpoints: folders of those that are on this machine, by trial number.
        damaged: names the file of such a folder that is not as it was written; None: all are.
        timed: whether the target is known, so that cost to target is.
        datasets: fingerprint of each data set, by `<stage>/<source>`.
        base: name and fingerprint of the base model; None: there is none.
        measure: what the primary score is called.
        cost_unit: what costs count: `windows` or `tokens`.
    """

    study: str
    experiment: str
    ends: Ends = no_ends
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
    """What is to be written of a trial, in a few characters: equal tokens mean that nothing has changed."""
    ends = "timed" if timed and record.state.finished else "-"
    return f"{_letters(record)}/{record.state.value}/{'front' if on_front else '-'}/{ends}"


def written_evaluations(mark: str | None, record: TrialRecord) -> int:
    """How many evaluations a token says were written as they are now."""
    letters = (mark or "").partition("/")[0]
    return len(letters) if _letters(record).startswith(letters) else 0


def _letters(record: TrialRecord) -> str:
    """A letter an evaluation: whether it has a primary score."""
    return "".join("s" if point.has_primary_score else "-" for point in record.curve)


class Refused(Exception):
    """A store that answers refuses what it is given, now and whenever it is tried again."""


class Tracker(Protocol):
    """Somewhere to write trials to. Any method may raise anything; it will be tried again."""

    def written(self, study: str) -> Mapping[int, str]:
        """The token of each trial of a study that is there already."""
        ...

    def write(self, facts: StudyFacts, record: TrialRecord, since: int, mark: str) -> None:
        """Write a trial: its facts, evaluations from number `since` on, its end if it has one, and its token.

        Writing the same again changes nothing.
        """
        ...

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        """Store those of a trial's kept weights that are on this machine; delete what is no longer kept."""
        ...

    def write_study(self, facts: StudyFacts, mark: str, make: Callable[[Path], None]) -> None:
        """Store what `make` writes into a folder, with the study; nothing where `mark` is there already."""
        ...
