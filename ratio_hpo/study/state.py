"""The study state of a driver, updated in place.

Records of this process are added when it writes them; records of other drivers are added by a refresh. Finished trials
are read only once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ratio_hpo.core.errors import ScoreError
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.metrics.front import Front
from ratio_hpo.storage import records as rec
from ratio_hpo.storage.leases import Lease
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.running_trials import RunningTrials
from ratio_hpo.surrogate.trials import Trials

POLL_SECONDS = 0.5
"""Minimum seconds between two refreshes while this driver reports evaluations."""


class StudyState:
    """Trials, curves and front of an open study.

    Args:
        storage: the storage of the study.
        plan: the plan of the study.
        study_id: Optuna's id of the study.
        running: running trials of this process, which only this process writes.
        stored: returns the steps of a stage with stored weights, given its identity; None if no stages are stored.
    """

    records: list[TrialRecord]
    front: Front
    paid: float
    plan: StudyPlan
    study_id: int

    def __init__(
        self,
        storage: RetryingStorage,
        plan: StudyPlan,
        study_id: int,
        running: RunningTrials,
        stored: Callable[[str], Sequence[int]] | None = None,
    ) -> None:
        self.records, self.front, self.paid = [], Front(), 0.0
        self.plan, self.study_id, self._storage, self._running = plan, study_id, storage, running
        self._ids: list[int] = []
        self._open: set[int] = set()
        self._attributes: dict[int, rec.Attributes] = {}
        self._leases: dict[int, Lease] = {}
        self._stored = stored
        self._refreshed_at = -POLL_SECONDS

    def refresh(self, *, at_once: bool = True) -> None:
        """Refresh from the storage, without the running trials of this process.

        Args:
            at_once: if False, refresh only if the last refresh was at least half a second ago.
        """
        if not at_once and time.monotonic() - self._refreshed_at < POLL_SECONDS:
            return
        self._refreshed_at = time.monotonic()
        held = self._running.held()
        open_ids = [self._ids[number] for number in sorted(self._open) if number not in held]
        changed_trials = rec.read_trials(self._storage, self.study_id, since=len(self.records), among=open_ids)
        self._leases = {trial.record.number: trial.lease for trial in changed_trials if trial.lease is not None}
        self.take_in(changed_trials)

    def take_in(self, changing: Sequence[rec.Stored]) -> None:
        """Add the current stored state of trials."""
        for trial in changing:
            record = trial.record
            previous = self.records[record.number] if record.number < len(self.records) else None
            self._update_record(record, previous)
            if previous is None:
                self._ids.append(trial.trial_id)
            if record.state.finished:
                self._attributes.pop(record.number, None)
                self._open.discard(record.number)
            else:
                self._attributes[record.number] = trial.attributes
                self._open.add(record.number)

    def add(self, number: int, progress: Progress) -> None:
        """Add an evaluation that this process has recorded."""
        record = self.records[number]
        self._add_point(record, progress)
        self.records[number] = replace(record, curve=(*record.curve, progress))

    def begin(self, number: int, trial_id: int, attributes: rec.Attributes, lease: Lease) -> None:
        """Add a trial that this process has started: a waiting one or a new one.

        Args:
            attributes: its stored attributes.
        """
        record = rec.record_of(number, State.RUNNING, attributes, started=lease.renewed, worker=lease.holder)
        if number == len(self.records):
            self.records.append(record)
            self._ids.append(trial_id)
        else:
            self.records[number] = replace(record, started=self.records[number].started or record.started)
        self._attributes[number] = attributes
        self._open.add(number)

    def end(self, number: int, **changes: Any) -> None:
        """Mark a trial as ended by this process.

        Args:
            changes: changed fields of its record.
        """
        self.records[number] = replace(self.records[number], **changes)
        self._attributes.pop(number, None)
        self._open.discard(number)

    def trial_id(self, number: int) -> int:
        """Return Optuna's id of a trial."""
        return self._ids[number]

    def attributes(self, number: int) -> rec.Attributes:
        """Return the attributes of an unfinished trial at the last refresh."""
        return self._attributes.get(number, {})

    def lease(self, number: int) -> Lease | None:
        """Return the lease of a running trial at the last refresh, or None."""
        return self._leases.get(number)

    def numbers(self, state: State) -> list[int]:
        """Return the numbers of the trials in a state."""
        numbers = range(len(self.records)) if state.finished else sorted(self._open)
        return [number for number in numbers if self.records[number].state is state]

    @property
    def num_finished(self) -> int:
        """Number of trials that have ended."""
        return len(self.records) - len(self._open)

    def check_languages(self, progress: Progress) -> None:
        """Check that an evaluation scores the same languages as the study; otherwise means are not comparable.

        Raises:
            ScoreError: a language is missing or new.
        """
        first = next((point for record in self.records for point in record.scored), None)
        if first is None or not progress.has_primary_score:
            return
        scored_languages, study_languages = set(progress.by_language()), set(first.by_language())
        if scored_languages != study_languages:
            language = min(scored_languages ^ study_languages)
            difference = "is missing" if language in study_languages else "is new"
            raise ScoreError(
                f"every evaluation of a study needs score/… of the same languages "
                f"({', '.join(sorted(study_languages)) or 'none'}), but score/{language} {difference} at "
                f"{progress.stage} window {progress.windows}"
            )

    def trials(self, changed: TrialRecord | None = None) -> Trials:
        """Return what samplers and pruners see.

        Args:
            changed: a trial with an evaluation that is not stored yet.
        """
        records = self.records
        if changed is not None:
            records = [*records[: changed.number], changed, *records[changed.number + 1 :]]
        return Trials(space=self.plan.space, records=records, seed=self.plan.seed, front=self.front,
                      rungs=self.plan.rungs, languages=self.plan.languages, reuses=self._stored is not None,
                      stored_steps=self.stored_steps)  # fmt: skip

    def stored_steps(self, identity: str) -> list[int]:
        """Return the steps of a stage with stored weights, from which a trial resumes without paying again."""
        return [] if self._stored is None else sorted(self._stored(identity))

    def _update_record(self, record: TrialRecord, previous: TrialRecord | None) -> None:
        """Store a record by its number, and add its new evaluations to the front and the paid cost."""
        num_known = len(previous.curve) if previous is not None else 0
        if previous is None:
            self.records.append(replace(record, curve=()))
        for progress in record.curve[num_known:]:
            self._add_point(self.records[record.number], progress)
            self.records[record.number] = replace(
                self.records[record.number], curve=(*self.records[record.number].curve, progress)
            )
        self.records[record.number] = record

    def _add_point(self, record: TrialRecord, progress: Progress) -> None:
        paid_before = max((point.paid_cost for point in record.curve), default=0.0)
        self.paid += max(progress.paid_cost - paid_before, 0.0)
        self.front.add(record.number, len(record.curve), progress)
