"""The response model of a study: fitted to its trials, and used to predict new ones."""

from __future__ import annotations

from collections.abc import Sequence

from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.surrogate.evidence import EvidenceBuilder
from ratio_hpo.surrogate.study_model import StudyModel

MIN_TRIALS, MIN_JOINING = 6, 0.1
"""Number of ended trials that the model needs before a decision is based on it, and the probability of joining the
front below which the rest of a trial is not worth its cost."""


class Response(EvidenceBuilder):
    """Builds models of a study; equal trials give equal models. The arguments are those of `EvidenceBuilder`."""

    _current: tuple[tuple[tuple[int, State, int, bool], ...], StudyModel] | None = None

    def model(self, records: Sequence[TrialRecord]) -> StudyModel:
        """Return the model of the trials so far; running trials are imputed with its predictions."""
        state = tuple((r.number, r.state, len(r.curve), r.done) for r in records)
        if self._current is None or self._current[0] != state:
            self.planned_curves.learn(records)
            self._current = (state, StudyModel(self, records))
        return self._current[1]
