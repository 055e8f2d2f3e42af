"""Storage calls that outlast a hiccup: tried again, with back-off, while the database is locked, full or away.

A call that was cut off may have been written or not. So what is tried again does no harm where it was: attributes are
put, not added; a lease that is ours already counts as taken; an end that is there already stays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sql
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from ratio_hpo.core import urls
from ratio_hpo.core.clock import CLOCK, Clock
from ratio_hpo.core.retry import retry_call

if TYPE_CHECKING:
    from ratio_hpo.study.guard import Guard

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds that a search waits for its storage."""

PERMANENT_ERRORS = (
    "no such table", "no such column", "readonly", "read-only", "malformed", "not a database", "syntax error",
    "does not exist", "authentication failed", "permission denied", "UNIQUE constraint", "duplicate key",
)  # fmt: skip
"""Signs of what no waiting mends."""

DATABASE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, StorageInternalError)
"""What a storage raises: the database's own, or Optuna's wrapping of it."""

WRAPPED = (
    "create_new_study", "delete_study", "set_study_user_attr", "set_study_system_attr", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_directions", "get_study_user_attrs", "get_study_system_attrs",
    "get_all_studies", "_create_new_trial", "_set_trial_param", "get_trial_id_from_study_id_trial_number",
    "set_trial_state_values", "set_trial_intermediate_value", "set_trial_user_attr", "set_trial_system_attr",
    "get_trial", "get_all_trials", "_get_trials", "get_n_trials",
)  # fmt: skip
"""What Optuna calls of its storage, each a transaction."""


def is_transient(error: BaseException) -> bool:
    """Whether an error of the database may pass by itself."""
    cause = of_database(error)
    if isinstance(cause, sqlalchemy.exc.TimeoutError):
        return True
    if not isinstance(cause, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError):
        return _lost_connection(error)
    reason = str(cause.orig)
    return cause.connection_invalidated or not any(sign in reason for sign in PERMANENT_ERRORS)


def _lost_connection(error: BaseException) -> bool:
    """Whether it was the connection, which the pool has let go of."""
    cause = of_database(error)
    return isinstance(cause, sqlalchemy.exc.DBAPIError) and cause.connection_invalidated


class RetryingStorage(RDBStorage):
    """Optuna's storage, whose calls are tried again.

    Attributes:
        patience: seconds that a call is tried for; 0: once.
        say: is told once when a wait begins, and once when it ends.
        guards: of the studies that are worked on here; each transaction of ours raises their counters.
    """

    patience: float = 0.0
    say: Callable[[str], None] | None = None
    clock: Clock = CLOCK
    guards: tuple[Guard, ...] = ()

    def retried(self, call: Callable[[], T]) -> T:
        """What a call gives, once it does; one over a connection that has died meanwhile is made again at once.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, StorageInternalError: it still fails after so long, or for good.
        """

        def afresh() -> T:
            try:
                return call()
            except DATABASE_ERRORS as error:
                if not _lost_connection(error):
                    raise
                return call()

        try:
            return retry_call(afresh, what="storage", passes=is_transient, reason_of=reason_of, patience=self.patience,
                         say=self.say, clock=self.clock)  # fmt: skip
        except DATABASE_ERRORS as error:
            if is_transient(error):
                self.patience = 0.0  # what comes after it, to end in order, does not wait as long again
            raise

    def run(self, work: Callable[[sql.Connection], T], *, whole: bool = True) -> T:
        """What some statements give.

        Args:
            whole: in one transaction; otherwise each is one by itself, unless a study is guarded.

        Raises:
            StorageReplaced: the database is not the one that was written to before.
        """

        def once() -> T:
            guards = self.guards
            for guard in guards:
                guard.check_file()
            with self.engine.begin() if whole or guards else self._each_by_itself.connect() as connection:
                result = work(connection)
                # last, since others that write to the study wait for its counter until this is written
                generations = [guard.raised(connection) for guard in guards]
            for guard, generation in zip(guards, generations, strict=True):
                guard.seen(generation)
            return result

        return self.retried(once)

    def read(self, work: Callable[[sql.Connection], T]) -> T:
        """What some statements read, all as of one moment."""

        def once() -> T:
            engine = self._each_by_itself if self.engine.name == "sqlite" else self._as_of_one_moment
            with engine.connect() as connection:
                if self.engine.name == "sqlite":  # its driver begins nothing before a SELECT
                    connection.exec_driver_sql("BEGIN")
                result = work(connection)
                connection.connection.rollback()
                return result

        return self.retried(once)

    @functools.cached_property
    def _as_of_one_moment(self) -> sql.Engine:
        return self.engine.execution_options(isolation_level="REPEATABLE READ")

    @functools.cached_property
    def _each_by_itself(self) -> sql.Engine:
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")


def of_database(error: BaseException) -> sqlalchemy.exc.SQLAlchemyError | None:
    """The database's own error behind another one; None: there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, sqlalchemy.exc.SQLAlchemyError):
        cause = cause.__cause__
    return cause


def reason_of(error: BaseException) -> str:
    """The database's own words, in one line; of another error, its own."""
    cause = of_database(error) or error
    return urls.reason_of(getattr(cause, "orig", None) or cause)


def _patient(name: str) -> Callable[..., Any]:
    plain = getattr(RDBStorage, name)

    @functools.wraps(plain)
    def method(self: RetryingStorage, *args: Any, **kwargs: Any) -> Any:
        return self.retried(lambda: plain(self, *args, **kwargs))

    return method


for _name in WRAPPED:
    setattr(RetryingStorage, _name, _patient(_name))
