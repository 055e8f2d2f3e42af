"""What is new in the storage goes to the tracker, from a thread that no search waits for."""

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
"""Seconds between two looks at the storage."""

PATIENCE = 60.0
"""Seconds without a sign of life from the tracker after which the end of a search waits for it no longer."""

HANDOVER = 10.0
"""Seconds that the end of a search waits for another driver to let go of writing; one that goes on writes it all."""

Artifacts = Callable[[Path], None]
"""Writes the study's pictures and tables into a folder."""


def token_of(facts: StudyFacts, record: TrialRecord) -> str:
    """A trial's token as the study stands."""
    return token(record, on_front=record.number in facts.front, timed=facts.timed)


def write_trials(
    tracker: Tracker,
    records: Sequence[TrialRecord],
    facts: StudyFacts,
    written: Mapping[int, str],
    wrote: Callable[[TrialRecord, str], None],
) -> None:
    """Write what differs from what was written.

    Args:
        written: token of each trial that is there already.
        wrote: told of each trial after it was written.

    Raises:
        Refused: the store does not take some trial; the others are written.
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
    """Write what goes with a study as a whole: kept weights, pictures and tables.

    Args:
        beside: what else artifacts are made of, in a word that changes when it does.
        alive: called after each trial's weights, which may take long.
    """
    for record in records:
        if record.curve:
            tracker.write_checkpoints(facts, record)
            alive()
    marks = [token_of(facts, record) for record in records]
    tracker.write_study(facts, fingerprint([*marks, beside] if beside else marks), artifacts)


class TrackingLoop:
    """Keeps a tracker up to date from a thread of its own.

    Args:
        make: makes the tracker, in the thread, since that may take seconds.
        read: records and facts of the study as stored.
        stored: token of each trial that is known to be written.
        save: stores the token of a trial that was written.
        say: told, once for each reason, that tracking lags.
        artifacts: writes the study's pictures and tables.
        alone: holds off other processes that write to the same store, for the time of a pass.
        may_write: whether this is the one process that writes the study; with a number, waits so many seconds for it.
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
        self._thread.start()

    def finish(self, patience: float = PATIENCE) -> bool:
        """Write what is left, and stop; a tracker that shows no life for `patience` seconds is left behind.

        Returns:
            False where something could not be written; it is written later.
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
        """Write all that is new; with `last`, weights, pictures and tables too."""
        try:
            if not self._may_write(HANDOVER if last else 0.0):
                return True  # somebody else writes the study, and will write what is new here too
            with self._alone():
                self._write_all(last=last)
        except Refused as error:
            self._lag(f"the store {error}", remedy="it will be refused again: `ratio-hpo trial` shows what it holds")
            return False
        except Exception as error:  # whatever a tracking server does must not end a search; it is tried again
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

    def _lag(self, reason: str, remedy: str = "nothing is lost: `ratio-hpo track` writes what is missing") -> None:
        if reason not in self._said:
            self._said.add(reason)
            self._say(f"tracking lags ({reason}); {remedy}")

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            self.pass_once()
        self._whole = self.pass_once(last=True)
