"""What a tracker must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ratio_hpo.core.trial import TrialRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What a tracker is told of a study beside its trials.

    Attributes:
        experiment: groups studies.
        ends: for each finished trial, final numbers (F1, cost to target, area over the curve); infinity: censored.
        checkpoints: folders of kept weights by trial number.
    """

    study: str
    experiment: str
    ends: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    checkpoints: Mapping[int, Sequence[Path]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


class Tracker(Protocol):
    """Somewhere to write trials to."""

    is_new: bool
    """Whether it held nothing before: what was written to another one counts no more."""

    def write(self, facts: StudyFacts, record: TrialRecord, since: int) -> None:
        """Write a trial: its facts, evaluations from number `since` on, and its end if it has one.

        Writing the same again changes nothing. May raise anything; it will be tried again.
        """
        ...

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        """Make the stored weights of a trial those in `facts.checkpoints`."""
        ...
