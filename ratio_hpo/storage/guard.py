"""Detect that the database was deleted or replaced while this process writes to it.

A process can write to a deleted file until it closes the file, and all of that data is lost. A copy that replaces the
file lacks the most recent data. Neither raises an error. Therefore each transaction of a driver increments a counter in
the study's attributes, which must never decrease, and the device and inode of a SQLite file must not change.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sql

from ratio_hpo.core.errors import StorageReplaced
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.storage.schema import create_counter, increment_counter

GENERATION = "generation"
"""Study attribute that counts the transactions of its drivers."""


class StudyGuard:
    """Guards one study of a database for a driver.

    Args:
        engine: engine of the database.
        study_id: Optuna's id of the study.
        file: file of a SQLite database; None for a database server.
        shown: name of the database in messages.
    """

    def __init__(self, engine: sql.Engine, study_id: int, file: Path | None, shown: str) -> None:
        self._study_id, self._file, self._shown = study_id, file, shown
        self._inode: tuple[int, int] | None = None
        self._inode = self._stat()
        with engine.begin() as connection:
            create_counter(connection, study_id, GENERATION)
            self._generation = self._increment(connection)

    def check_file(self) -> None:
        """Check that the file is still the same; call this before opening it, which would create a missing file.

        Raises:
            StorageReplaced: the file was deleted or replaced.
        """
        if self._inode != self._stat():
            raise self._error("another file replaced the database")

    def raised(self, connection: sql.Connection) -> int:
        """Increment the counter within a transaction.

        Returns:
            The new value; pass it to `seen` after the transaction is committed.

        Raises:
            StorageReplaced: the counter has decreased, because an older copy replaced the database.
        """
        generation = self._increment(connection)
        if generation <= self._generation:
            raise self._error("an older copy replaced the database")
        return generation

    def seen(self, generation: int) -> None:
        """Record the counter of a committed transaction."""
        self._generation = max(self._generation, generation)

    def _stat(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            state = self._file.stat()
        except FileNotFoundError as error:
            raise self._error("the database was deleted") from error
        except OSError:  # a temporary disk error; writing to the database reports whether it persists
            return self._inode
        return state.st_dev, state.st_ino

    def _increment(self, connection: sql.Connection) -> int:
        generation = increment_counter(connection, self._study_id, GENERATION)
        if generation is None:
            raise self._error("the study was deleted")
        return generation

    def _error(self, what: str) -> StorageReplaced:
        return StorageReplaced(
            f"{self._shown}: {what} while this search ran, so it stopped writing; restore the newest copy, then run "
            "the same command again"
        )


def guard_study(storage: RetryingStorage, study_id: int) -> StudyGuard:
    """Guard a study: every later transaction of this storage checks that the database is still the same."""
    url = storage.engine.url
    file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    guard = storage.retried(lambda: StudyGuard(storage.engine, study_id, file, str(file or url.host or url.database)))
    storage.guards = (*storage.guards, guard)
    return guard
