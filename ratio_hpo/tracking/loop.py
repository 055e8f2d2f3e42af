"""A background thread that writes new results from the storage to the tracker without delaying the search."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.core.urls import reason_of
from ratio_hpo.tracking.base import Refused, StudyFacts, Tracker, token, written_evaluations

PERIOD = 2.0
"""Seconds between two reads of the storage."""

PATIENCE = 60.0
"""Seconds without progress of the tracker after which an ending search stops waiting for it."""

HANDOVER = 10.0
"""Seconds that an ending search waits for another driver to hand over writing; if none does, that driver writes it."""

Artifacts = Callable[[Path], None]
"""Writes the study's plots and tables into a folder."""


def token_of(facts: StudyFacts, record: TrialRecord) -> str:
    """Return a trial's token for the current state of the study."""
    return token(record, on_front=record.number in facts.front, timed=facts.timed)


def write_trials(
    tracker: Tracker,
    records: Sequence[TrialRecord],
    facts: StudyFacts,
    written: Mapping[int, str],
    wrote: Callable[[TrialRecord, str], None],
) -> None:
    """Write the trials whose token differs from the written one.

    Args:
        written: token of each trial that is already written.
        wrote: called with each trial and its token after it was written.

    Raises:
        Refused: the store rejects some trials; the others are written.
    """
    refused: list[str] = []
    for record in records:
        if (record.params and record.state is not State.WAITING) or record.state.finished:
            mark, before = token_of(facts, record), written.get(record.number)
            if mark != before:
                try:
                    tracker.write(facts, record, written_evaluations(before, record), mark)
                except Refused as error:
                    refused.append(f"trial {record.number}: {error}")
                    continue
                wrote(record, mark)
    if refused:
        more = f" and {len(refused) - 1} more" if refused[1:] else ""
        raise Refused(f"refuses {refused[0]}{more}")


def write_ending(
    tracker: Tracker,
    records: Sequence[TrialRecord],
    facts: StudyFacts,
    artifacts: Artifacts,
    alive: Callable[[], None] = lambda: None,
    beside: str = "",
) -> None:
    """Write the artifacts of a study: kept weights, plots and tables.

    Args:
        beside: a string that changes whenever other inputs of the artifacts change.
        alive: called after each trial's weights, since uploading them may take long.
    """
    for record in records:
        if record.curve:
            tracker.write_checkpoints(facts, record)
            alive()
    marks = [token_of(facts, record) for record in records]
    tracker.write_study(facts, fingerprint([*marks, beside] if beside else marks), artifacts)


class TrackingLoop:
    """Keeps a tracker up to date from a background thread.

    Args:
        make: creates the tracker; called in the thread, since it may take seconds.
        read: returns the stored records and facts of the study.
        stored: token of each trial that is known to be written.
        save: stores the token of a trial that was written.
        say: prints a message, once per reason, that tracking lags.
        artifacts: writes the study's plots and tables.
        alone: keeps other processes from writing to the same store during a pass.
        may_write: returns whether this process is the only writer of the study; waits up to the given seconds for it.
    """

    def __init__(
        self,
        make: Callable[[], Tracker],
        read: Callable[[], tuple[Sequence[TrialRecord], StudyFacts]],
        stored: Mapping[int, str],
        save: Callable[[int, str], None],
        say: Callable[[str], None],
        artifacts: Artifacts = lambda folder: None,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
        may_write: Callable[[float], bool] = lambda seconds: True,
    ) -> None:
        self._make, self._read, self._stored, self._save, self._say = make, read, stored, save, say
        self._artifacts, self._alone, self._may_write = artifacts, alone, may_write
        self._tracker: Tracker | None = None
        self._written: dict[int, str] = {}
        self._stop = threading.Event()
        self._said: set[str] = set()
        self._moved, self._whole = time.monotonic(), False
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def finish(self, patience: float = PATIENCE) -> bool:
        """Write the remaining results and stop; give up on a tracker that makes no progress for `patience` seconds.

        Returns:
            False if something could not be written; `ratio-hpo track` can write it later.
        """
        self._stop.set()
        self._moved = time.monotonic()
        while self._thread.is_alive():
            self._thread.join(0.1)
            if time.monotonic() - self._moved > patience:
                self._lag(f"no answer for {patience:g} s")
                return False
        return self._whole

    def pass_once(self, *, last: bool = False) -> bool:
        """Write all new results; with `last`, also weights, plots and tables. Return False if something failed."""
        try:
            if not self._may_write(HANDOVER if last else 0.0):
                return True  # another process writes the study, and will write these results too
            with self._alone():
                self._write_all(last=last)
        except Refused as error:
            self._lag(
                f"the store {error}", remedy="`ratio-hpo trial` shows the values, which the store will refuse again"
            )
            return False
        except Exception as error:  # no error of a tracking server may end a search; the next pass retries
            self._lag(f"{type(error).__name__}: {reason_of(error)}")
            return False
        return True

    def _write_all(self, *, last: bool) -> None:
        records, facts = self._read()
        if self._tracker is None:
            tracker = self._make()
            self._written = dict(tracker.written(facts.study))
            self._tracker = tracker
            for number, mark in self._written.items():
                if self._stored.get(number) != mark:
                    self._save(number, mark)
        write_trials(self._tracker, records, facts, self._written, self._wrote)
        if last:
            write_ending(self._tracker, records, facts, self._artifacts, self._move)

    def _move(self) -> None:
        self._moved = time.monotonic()

    def _wrote(self, record: TrialRecord, mark: str) -> None:
        self._move()
        self._save(record.number, mark)
        self._written[record.number] = mark

    def _lag(self, reason: str, remedy: str = "no results are lost; `ratio-hpo track` writes the missing ones") -> None:
        if reason not in self._said:
            self._said.add(reason)
            self._say(f"tracking lags ({reason}); {remedy}")

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            self.pass_once()
        self._whole = self.pass_once(last=True)
