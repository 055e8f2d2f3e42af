"""The tracker that writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.tracking.base import StudyFacts


class NullTracker:
    """For searches without tracking."""

    def written(self, study: str) -> Mapping[int, str]:
        """Nothing is there."""
        return {}

    def write(self, facts: StudyFacts, record: TrialRecord, since: int, mark: str) -> None:
        """Nothing is written."""

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        """Nothing is written."""

    def write_study(self, facts: StudyFacts, mark: str, make: Callable[[Path], None]) -> None:
        """Nothing is written."""
