"""The tracker thread: reads what is new in the storage, writes it, then moves a stored cursor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.tracking.base import StudyFacts, Tracker

PERIOD = 2.0
"""Seconds between two looks at the storage."""

Cursor = dict[int, tuple[int, str]]
"""For each trial, how many evaluations are written, and its state then."""


class TrackingLoop:
    """Keeps a tracker up to date from a thread of its own.

    Args:
        make: makes the tracker, in the thread, since that may take seconds.
        read: records and facts of the study as stored.
        cursor: what was written by earlier runs.
        save: stores the cursor of a trial.
        say: told, once for each reason, that tracking lags.
        alone: holds off other processes that write to the same store, for the time of a pass.
    """

    def __init__(
        self,
        make: Callable[[], Tracker],
        read: Callable[[], tuple[Sequence[TrialRecord], StudyFacts]],
        cursor: Cursor,
        save: Callable[[int, tuple[int, str]], None],
        say: Callable[[str], None],
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._make, self._read, self._cursor, self._save, self._say = make, read, dict(cursor), save, say
        self._alone = alone
        self._tracker: Tracker | None = None
        self._stop = threading.Event()
        self._said: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> bool:
        """Write what is left, and stop. False where something could not be written; a later run writes it."""
        self._stop.set()
        self._thread.join()
        return self.pass_once(last=True)

    def pass_once(self, *, last: bool = False) -> bool:
        """Write all that is new; with `last`, checkpoints too."""
        try:
            with self._alone():
                self._write_all(last=last)
        except Exception as error:  # whatever a tracking server does must not end a search; it is tried again
            reason = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
            if reason not in self._said:
                self._said.add(reason)
                self._say(f"tracking lags ({reason}); the search goes on, and what is missing is written later")
            return False
        return True

    def _write_all(self, *, last: bool) -> None:
        if self._tracker is None:
            self._tracker = self._make()
            if self._tracker.is_new:
                self._cursor.clear()
        records, facts = self._read()
        for record in records:
            if (record.params and record.state is not State.WAITING) or record.state.finished:
                self._write(self._tracker, facts, record)
        if last:
            for record in records:
                if record.curve:
                    self._tracker.write_checkpoints(facts, record)

    def _write(self, tracker: Tracker, facts: StudyFacts, record: TrialRecord) -> None:
        now = (len(record.curve), record.state.value)
        before = self._cursor.get(record.number)
        if before == now:
            return
        tracker.write(facts, record, before[0] if before else 0)
        self._save(record.number, now)
        self._cursor[record.number] = now

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            self.pass_once()
