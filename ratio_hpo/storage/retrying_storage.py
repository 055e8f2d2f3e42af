"""A storage that retries its calls with back-off while the database is locked, full or unreachable.

An interrupted call may or may not have been written. So every retried call is idempotent: attributes are overwritten,
not appended; a lease that this process already holds counts as taken; a trial that has already ended stays ended.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import sqlalchemy as sql
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from ratio_hpo.core import urls
from ratio_hpo.core.retry import CLOCK, Clock, retry_call

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds for which a search retries an unavailable storage."""

PERMANENT_ERRORS = (
    "no such table", "no such column", "readonly", "read-only", "malformed", "not a database", "syntax error",
    "does not exist", "authentication failed", "permission denied", "UNIQUE constraint", "duplicate key",
)  # fmt: skip
"""Messages of permanent errors."""

DATABASE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, StorageInternalError)
"""Exceptions of a storage: those of SQLAlchemy, and Optuna's wrapper around them."""

WRAPPED = (
    "create_new_study", "delete_study", "set_study_user_attr", "set_study_system_attr", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_directions", "get_study_user_attrs", "get_study_system_attrs",
    "get_all_studies", "_create_new_trial", "_set_trial_param", "get_trial_id_from_study_id_trial_number",
    "set_trial_state_values", "set_trial_intermediate_value", "set_trial_user_attr", "set_trial_system_attr",
    "get_trial", "get_all_trials", "_get_trials", "get_n_trials",
)  # fmt: skip
"""Methods that Optuna calls on its storage; each is one transaction."""


def is_transient(error: BaseException) -> bool:
    """Return whether a database error is transient."""
    cause = of_database(error)
    if isinstance(cause, sqlalchemy.exc.TimeoutError) or _lost_connection(error):
        return True
    if not isinstance(cause, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError):
        return False
    return not any(sign in str(cause.orig) for sign in PERMANENT_ERRORS)


def _lost_connection(error: BaseException) -> bool:
    """Return whether the error is a lost connection, which the pool has discarded."""
    cause = of_database(error)
    return isinstance(cause, sqlalchemy.exc.DBAPIError) and cause.connection_invalidated


class Guard(Protocol):
    """Checks in each transaction that the database is still the one that this process wrote to before."""

    def check_file(self) -> None:
        """Check that the file is still the same, before it is opened."""
        ...

    def raised(self, connection: sql.Connection) -> int:
        """Increment a counter within a transaction and return it."""
        ...

    def seen(self, generation: int) -> None:
        """Record the counter of a committed transaction."""
        ...


class RetryingStorage(RDBStorage):
    """Optuna's relational storage with retried calls.

    Attributes:
        patience: seconds for which a call is retried; 0 means a single attempt.
        say: receives one message when a wait begins and one when it ends.
        clock: measures time and sleeps.
        guards: guards of the studies that are open in this process; each transaction increases their counters.
    """

    patience: float = 0.0
    say: Callable[[str], None] | None = None
    clock: Clock = CLOCK
    guards: tuple[Guard, ...] = ()

    def retried(self, call: Callable[[], T]) -> T:
        """Return the result of a call, retried on transient errors, and at once after a lost connection.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, StorageInternalError: the error is permanent or outlasts `patience`.
        """

        def call_with_reconnect() -> T:
            try:
                return call()
            except DATABASE_ERRORS as error:
                if not _lost_connection(error):
                    raise
                return call()

        try:
            return retry_call(call_with_reconnect, what="storage", passes=is_transient, reason_of=reason_of,
                              patience=self.patience, say=self.say, clock=self.clock)  # fmt: skip
        except DATABASE_ERRORS as error:
            if is_transient(error):
                self.patience = 0.0  # the calls of an orderly shutdown must not wait as long again
            raise

    def run(self, work: Callable[[sql.Connection], T]) -> T:
        """Execute statements in one transaction and return their result.

        Raises:
            StorageReplaced: the database is not the one that was written to before.
        """

        def attempt() -> T:
            guards = self.guards
            for guard in guards:
                guard.check_file()
            with self.engine.begin() as connection:
                result = work(connection)
                # last, because other writers of the study wait for its counter until this transaction ends
                generations = [guard.raised(connection) for guard in guards]
            for guard, generation in zip(guards, generations, strict=True):
                guard.seen(generation)
            return result

        return self.retried(attempt)

    def read(self, work: Callable[[sql.Connection], T]) -> T:
        """Execute statements on one consistent snapshot and return their result."""

        def attempt() -> T:
            with self._reading_engine.connect() as connection:
                if self.engine.name == "sqlite":  # its driver does not begin a transaction before a SELECT
                    connection.exec_driver_sql("BEGIN")
                result = work(connection)
                connection.connection.rollback()
                return result

        return self.retried(attempt)

    @functools.cached_property
    def _reading_engine(self) -> sql.Engine:
        level = "AUTOCOMMIT" if self.engine.name == "sqlite" else "REPEATABLE READ"
        return self.engine.execution_options(isolation_level=level)


def of_database(error: BaseException) -> sqlalchemy.exc.SQLAlchemyError | None:
    """Return the database error that caused an error, or None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, sqlalchemy.exc.SQLAlchemyError):
        cause = cause.__cause__
    return cause


def reason_of(error: BaseException) -> str:
    """Return the message of the underlying database error in one line, or that of the error itself."""
    cause = of_database(error) or error
    return urls.reason_of(getattr(cause, "orig", None) or cause)


def _retrying(name: str) -> Callable[..., Any]:
    original = getattr(RDBStorage, name)

    @functools.wraps(original)
    def method(self: RetryingStorage, *args: Any, **kwargs: Any) -> Any:
        return self.retried(lambda: original(self, *args, **kwargs))

    return method


for _name in WRAPPED:
    setattr(RetryingStorage, _name, _retrying(_name))
