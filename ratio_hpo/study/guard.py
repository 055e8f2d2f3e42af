"""Whether the database is still the one that this process has written to.

A file that was deleted is written on by whoever has it open, and is gone with the last of them; a copy that was put in
its place lacks what was written since. Neither raises anything by itself. So each transaction of a driver raises a
counter in the study's attributes, which may only grow, and of SQLite the file's device and inode must stay.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sql

from ratio_hpo.core.errors import StorageReplaced
from ratio_hpo.study.retrying_storage import RetryingStorage
from ratio_hpo.study.tables import INSERTS, STUDY_ATTRIBUTES

GENERATION = "generation"
"""The attribute of a study that counts the transactions of its drivers."""

_MINE = (STUDY_ATTRIBUTES.c.study_id == sql.bindparam("of"), STUDY_ATTRIBUTES.c.key == GENERATION)
_NEXT = sql.cast(sql.cast(STUDY_ATTRIBUTES.c.value_json, sql.BigInteger) + 1, sql.String)
_RAISE = sql.update(STUDY_ATTRIBUTES).where(*_MINE).values(value_json=_NEXT).returning(STUDY_ATTRIBUTES.c.value_json)


class Guard:
    """Watches one study of a database for a driver.

    Args:
        file: of a SQLite database; None: it is on a server.
        shown: the database, as messages name it.
    """

    def __init__(self, engine: sql.Engine, study_id: int, file: Path | None, shown: str) -> None:
        self._study_id, self._file, self._shown = study_id, file, shown
        self._inode: tuple[int, int] | None = None
        self._inode = self._look()
        row = {"study_id": study_id, "key": GENERATION, "value_json": "0"}
        with engine.begin() as connection:
            connection.execute(INSERTS[engine.name](STUDY_ATTRIBUTES).values(row).on_conflict_do_nothing())
            self._seen = self._raise(connection)

    def check_file(self) -> None:
        """Look at the file before it is opened, which would make it anew.

        Raises:
            StorageReplaced: it was deleted, or another one is in its place.
        """
        if self._inode != self._look():
            raise self._error("another file is in its place")

    def raised(self, connection: sql.Connection) -> int:
        """Raise the counter, within a transaction.

        Returns:
            The counter, which is `seen` once the transaction is written.

        Raises:
            StorageReplaced: it is less than it was, so that another copy is in the place of the database.
        """
        generation = self._raise(connection)
        if generation <= self._seen:
            raise self._error("an older copy is in its place")
        return generation

    def seen(self, generation: int) -> None:
        """Take in that a transaction was written."""
        self._seen = max(self._seen, generation)

    def _look(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            state = self._file.stat()
        except FileNotFoundError as error:
            raise self._error("it was deleted") from error
        except OSError:  # the disk cannot tell now; the database will say whether it can be written
            return self._inode
        return state.st_dev, state.st_ino

    def _raise(self, connection: sql.Connection) -> int:
        text = connection.execute(_RAISE, {"of": self._study_id}).scalar()
        if text is None:
            raise self._error("the study was deleted")
        return int(text)

    def _error(self, what: str) -> StorageReplaced:
        return StorageReplaced(
            f"{self._shown}: {what} while this search ran, so that nothing more can be written; put back the newest "
            "copy, then run the same command again"
        )


def guard_study(storage: RetryingStorage, study_id: int) -> Guard:
    """Have all that this process writes to a storage compare it with what it was before."""
    url = storage.engine.url
    file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    guard = storage.retried(lambda: Guard(storage.engine, study_id, file, str(file or url.host or url.database)))
    storage.guards = (*storage.guards, guard)
    return guard
