"""The study as a driver knows it: one picture, updated in place, never made anew.

What this process records is taken in as it is recorded; what other drivers store is taken in when it is looked for.
Finished trials are read once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna

from ratio_hpo.core.errors import ScoreError
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.study import records as rec
from ratio_hpo.study.front import Front
from ratio_hpo.study.leases import Lease
from ratio_hpo.study.pruning import Pruner
from ratio_hpo.study.retrying_storage import RetryingStorage

POLL_SECONDS = 0.5
"""Seconds between two looks at what other drivers store, while this one reports."""


@dataclass(frozen=True, slots=True)
class StorageUpdate:
    """What a look at the storage has brought that this process did not record itself.

    Attributes:
        points: evaluations of other drivers' trials, by trial.
        ended: trials that have ended, or did all their work.
    """

    points: tuple[tuple[int, Progress], ...] = ()
    ended: tuple[TrialRecord, ...] = ()

    def show(self, pruner: Pruner) -> None:
        """Show it to a pruner, in the order in which it was measured."""
        for number, point in sorted(self.points, key=lambda item: (item[1].time or 0.0, item[0])):
            pruner.follow(number, point)
        for record in self.ended:
            pruner.close(record.number, record.state)


class StudyState:
    """Trials, curves and the front of a study that is worked on.

    Args:
        study: Optuna's, for the adapters of its samplers.
        stored: the steps of a stage, by its identity, whose weights are stored here; None: no stages are stored.
    """

    optuna: optuna.Study
    records: list[TrialRecord]
    front: Front
    paid: float

    def __init__(
        self, storage: RetryingStorage, study: optuna.Study, stored: Callable[[str], Sequence[int]] | None = None
    ) -> None:
        self.optuna = study
        self.records, self.front, self.paid = [], Front(), 0.0
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._ids: list[int] = []
        self._open: set[int] = set()
        self._attributes: dict[int, Mapping[str, Any]] = {}
        self._leases: dict[int, Lease] = {}
        self._stored = stored
        self._looked = -POLL_SECONDS

    def look(self, *, but: Container[int] = (), at_once: bool = True) -> StorageUpdate:
        """Take in what is stored since the last look; without `at_once`, not sooner than after half a second.

        Args:
            but: trials that nobody else writes of, so that there is nothing to look for.
        """
        if not at_once and time.monotonic() - self._looked < POLL_SECONDS:
            return StorageUpdate()
        self._looked = time.monotonic()
        open_ids = [self._ids[number] for number in sorted(self._open) if number not in but]
        changing = rec.read_trials(
            self._storage, self._study_id, since=len(self.records), among=open_ids, waiting=False
        )
        self._leases = {each.record.number: each.lease for each in changing if each.lease is not None}
        return self.take_in(changing)

    def take_in(self, changing: Sequence[rec.Stored]) -> StorageUpdate:
        """Take in trials as they are stored now."""
        points: list[tuple[int, Progress]] = []
        ended: list[TrialRecord] = []
        for each in changing:
            record = each.record
            before = self.records[record.number] if record.number < len(self.records) else None
            points += self._take(record, before)
            if (record.state.finished or record.done) and not (before and (before.state.finished or before.done)):
                ended.append(record)
            if before is None:
                self._ids.append(each.trial_id)
            if record.state.finished:
                self._attributes.pop(record.number, None)
                self._open.discard(record.number)
            else:
                self._attributes[record.number] = each.attributes
                self._open.add(record.number)
        return StorageUpdate(tuple(points), tuple(ended))

    def add(self, number: int, progress: Progress) -> None:
        """Take in an evaluation that this process has recorded."""
        record = self.records[number]
        self._count(record, progress)
        self.records[number] = replace(record, curve=(*record.curve, progress))

    def begin(self, number: int, trial_id: int, attributes: Mapping[str, Any], lease: Lease) -> None:
        """Take in that this process has begun a trial: one that waited, or the next one.

        Args:
            attributes: that are stored of it now.
        """
        begun = rec.record_of(number, State.RUNNING, attributes, started=lease.renewed, worker=lease.holder)
        if number == len(self.records):
            self.records.append(begun)
            self._ids.append(trial_id)
        else:
            self.records[number] = replace(begun, started=self.records[number].started or begun.started)
        self._attributes[number] = attributes
        self._open.add(number)

    def end(self, number: int, **changes: Any) -> None:
        """Take in that this process has ended a trial.

        Args:
            changes: what is different of its record now.
        """
        self.records[number] = replace(self.records[number], **changes)
        self._attributes.pop(number, None)
        self._open.discard(number)

    def trial_id(self, number: int) -> int:
        """Optuna's id of a trial."""
        return self._ids[number]

    def attributes(self, number: int) -> Mapping[str, Any]:
        """What is stored of a trial that has not ended, as of the last look."""
        return self._attributes.get(number, {})

    def lease(self, number: int) -> Lease | None:
        """Whose a trial that runs was at the last look."""
        return self._leases.get(number)

    def numbers(self, state: State) -> list[int]:
        """The trials in a state."""
        numbers = range(len(self.records)) if state.finished else sorted(self._open)
        return [number for number in numbers if self.records[number].state is state]

    @property
    def num_finished(self) -> int:
        """Trials that have ended."""
        return len(self.records) - len(self._open)

    def check_languages(self, progress: Progress) -> None:
        """Refuse an evaluation in other languages than the study's: their means do not compare.

        Raises:
            ScoreError: with the language that is missing or new.
        """
        first = next((point for record in self.records for point in record.scored), None)
        if first is None or not progress.has_primary_score:
            return
        scored, known = set(progress.by_language()), set(first.by_language())
        if scored != known:
            odd = min(scored ^ known)
            what = "is missing" if odd in known else "was not there before"
            raise ScoreError(
                f"every evaluation of a study needs score/… of the same languages "
                f"({', '.join(sorted(known)) or 'none'}), but score/{odd} {what} at {progress.stage} window "
                f"{progress.windows}"
            )

    @property
    def reuses(self) -> bool:
        """Whether weights of stages are stored, so that what was trained once is not paid again."""
        return self._stored is not None

    def stored_steps(self, identity: str) -> list[int]:
        """The steps of a stage whose weights are stored: from there a trial goes on without paying again."""
        return [] if self._stored is None else sorted(self._stored(identity))

    def _take(self, record: TrialRecord, before: TrialRecord | None) -> list[tuple[int, Progress]]:
        """Put a record in its place; returns the evaluations that are new."""
        known = len(before.curve) if before is not None else 0
        if before is None:
            self.records.append(replace(record, curve=()))
        for progress in record.curve[known:]:
            self._count(self.records[record.number], progress)
            self.records[record.number] = replace(
                self.records[record.number], curve=(*self.records[record.number].curve, progress)
            )
        self.records[record.number] = record
        return [(record.number, progress) for progress in record.curve[known:]]

    def _count(self, record: TrialRecord, progress: Progress) -> None:
        before = max((point.paid_cost for point in record.curve), default=0.0)
        self.paid += max(progress.paid_cost - before, 0.0)
        self.front.add(record.number, len(record.curve), progress)
