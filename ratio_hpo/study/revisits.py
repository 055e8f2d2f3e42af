"""Points that were passed with `prune` alone and may be on the front after all: scored on `select` when all is done.

What may be on the front is known best at the end. A trial is then visited again: its stream passes through what is
stored of it, trains nothing, and is asked for `select` where that is wanted. How the trial ended stays as it is, and
what samplers were told of it. No lease is needed: an evaluation only gains scores, and those once, whoever brings them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ratio_hpo.core.spent import Spent
from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.study import records as rec
from ratio_hpo.study.claims import Job
from ratio_hpo.study.live import LiveView
from ratio_hpo.study.patience import PatientStorage
from ratio_hpo.study.select_scoring import SelectScoring
from ratio_hpo.study.tables import lock_study, put_attributes, read_rows

Place = tuple[str, int]
"""Stage, and windows consumed in it."""


@dataclass(slots=True)
class _Visit:
    """A trial that is visited again.

    Attributes:
        wanted: places whose `select` has not come yet.
        spent: on the trial, as far as that is stored.
        asked: the place whose evaluation comes again.
    """

    wanted: set[Place]
    spent: Spent
    asked: Place | None = None


class Revisits:
    """Visits trials again.

    Args:
        study_id: Optuna's.
    """

    def __init__(self, scoring: SelectScoring, storage: PatientStorage, study_id: int, view: LiveView) -> None:
        self._scoring, self._storage, self._study_id, self._view = scoring, storage, study_id, view
        self._visits: dict[int, _Visit] = {}
        self._tried: set[tuple[int, Place]] = set()

    def __contains__(self, number: int) -> bool:
        """Whether a trial is visited, or was."""
        return number in self._visits

    def wanted(self) -> dict[int, set[Place]]:
        """By trial, the places that may be on the front, lack `select`, are stored still and were not tried here."""
        if self._view.numbers(State.RUNNING):
            return {}
        found: dict[int, set[Place]] = {}
        for number, point in self._scoring.overlooked():
            if (number, point.place) not in self._tried and self._is_stored(self._view.records[number], point):
                found.setdefault(number, set()).add(point.place)
        return found

    def next(self) -> Job | None:
        """The next trial to visit, once all have ended; None: there is none."""
        for number, places in self.wanted().items():
            self._tried |= {(number, place) for place in places}
            record = self._view.records[number]
            spent = record.curve[-1].spent
            self._visits[number] = _Visit(places, spent)
            return Job(number=number, params=record.params, kind=record.kind, seed=record.seed or 0, spent=spent)
        return None

    def report(self, number: int, progress: Progress) -> Decision:
        """What is asked of a trial that is visited, where it stands now."""
        visit, place = self._visits[number], progress.place
        if place in visit.wanted:
            if progress.lacks_select and visit.asked != place:
                visit.asked = place
                return Decision.SCORE
            visit.wanted.discard(place)
            if not progress.lacks_select:  # else its weights have gone since we looked
                self._store(number, visit, progress.with_means())
        return Decision.CONTINUE if visit.wanted else Decision.STOP

    def _store(self, number: int, visit: _Visit, progress: Progress) -> None:
        """Write what was scored into the evaluation that had `prune` alone; what it took is the last one's."""
        trial_id, added = self._view.trial_id(number), progress.spent - visit.spent
        visit.spent = progress.spent

        def work(connection: Connection) -> rec.Attributes:
            lock_study(connection, self._study_id)
            rows = read_rows(connection, self._study_id, since=len(self._view.records), among=[trial_id])
            stored = dict(rows.attributes[trial_id])
            changed = rec.with_select(stored, progress, added)
            if changed:
                put_attributes(connection, trial_id, changed)
            return {**stored, **changed}

        self._view.amend(number, tuple(rec.read_curve(self._storage.run(work))[0]))

    def _is_stored(self, record: TrialRecord, point: Progress) -> bool:
        """Whether the weights of a point, and those on the way to it, are stored, so that nothing is trained again."""
        names = {name for before in record.curve if before.cost <= point.cost for name in before.checkpoints}
        parts = [name.partition("/") for name in sorted(names)]
        return bool(point.checkpoints) and all(int(step) in self._view.stored_steps(key) for key, _, step in parts)
