"""The lease of the single process that writes a study to a tracker: two writers would create two runs of a trial."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ratio_hpo.core.errors import StorageReplaced
from ratio_hpo.core.retry import CLOCK, Clock
from ratio_hpo.storage import leases
from ratio_hpo.storage.retrying_storage import DATABASE_ERRORS, RetryingStorage


class Writer:
    """The lease for writing a study to a tracker, renewed from a thread while it is held.

    Args:
        storage: the storage of the study.
        study_id: Optuna's id of the study.
        clock: measures time and sleeps.
    """

    def __init__(self, storage: RetryingStorage, study_id: int, clock: Clock = CLOCK) -> None:
        self._storage, self._number, self._clock = storage, leases.writer_of(study_id), clock
        self._watch = leases.LeaseWatch(clock)
        self._lease: leases.Lease | None = None
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self) -> bool:
        """Take the lease if it is free or lost; return False if another process holds it."""
        with self._lock:
            if self._lease is not None:
                return True
            current = leases.read_lease(self._storage, self._number)
            if current is not None and not self._watch.is_lost(current):
                return False
            lease = leases.own_lease(self._number, self._clock)
            if not leases.take_writer(self._storage, lease, current):
                return False
            self._lease = lease
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew_forever, name="writer", daemon=True)
            self._thread.start()
        return True

    def wait(self, patience: float) -> bool:
        """Take the lease as soon as it is released; return False after `patience` seconds."""
        began = self._clock.monotonic()
        while not self.hold():
            if self._clock.monotonic() - began > patience:
                return False
            self._clock.sleep(0.5)
        return True

    def release(self) -> None:
        """Release the lease."""
        self._stop.set()
        with (
            self._lock,
            suppress(leases.LeaseLost, StorageReplaced, *DATABASE_ERRORS),
        ):  # without the storage, the lease expires
            lease, self._lease = self._lease, None
            if lease is not None:
                self._storage.run(lambda connection: leases.drop_lease(connection, lease))

    def _renew_forever(self) -> None:
        while not self._stop.wait(leases.RENEWAL):
            with self._lock, suppress(StorageReplaced, *DATABASE_ERRORS):
                if self._lease is not None:
                    self._lease = leases.renew_lease(self._storage, self._lease, self._clock.time())


@contextmanager
def writing(writer: Writer) -> Iterator[Writer]:
    """Release a writer at the end of a `with` block."""
    try:
        yield writer
    finally:
        writer.release()
