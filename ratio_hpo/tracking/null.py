"""The tracker that writes nothing."""

from __future__ import annotations

from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.tracking.base import StudyFacts


class NullTracker:
    """For searches without tracking."""

    is_new = False

    def write(self, facts: StudyFacts, record: TrialRecord, since: int) -> None:
        """Nothing is written."""

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        """Nothing is written."""
