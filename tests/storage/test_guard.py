"""A driver stops if its database is deleted, or replaced by an older copy, while it runs."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sql

from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.errors import StorageReplaced
from ratio_hpo.core.trial import State
from ratio_hpo.storage.connect import open_storage
from ratio_hpo.storage.schema import STUDY_ATTRIBUTES
from ratio_hpo.study import Study
from tests.conftest import curve_objective, plan_of
from tests.study.test_leases import point

Make = Callable[..., Study]


def settled(file: Path) -> None:
    """Checkpoint the write-ahead log, so that the file itself contains all writes."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def delete(file: Path, copy: Path) -> None:
    file.unlink()


def move_a_copy_there(file: Path, copy: Path) -> None:
    shutil.copy(copy, copy.with_name("another"))
    copy.with_name("another").replace(file)


def write_a_copy_over_it(file: Path, copy: Path) -> None:
    """Overwrite the file in place, so that its inode does not change."""
    for left in ("-wal", "-shm"):
        file.with_name(file.name + left).unlink(missing_ok=True)
    file.write_bytes(copy.read_bytes())


@pytest.mark.parametrize("replace", [delete, move_a_copy_there, write_a_copy_over_it])
def test_a_driver_notices(open_study: Make, tmp_path: Path, replace: Callable[[Path, Path], None]) -> None:
    study, file, copy = open_study(), tmp_path / "studies.db", tmp_path / "copy.db"
    study.next(4)
    study.report(0, point(10))
    settled(file)
    shutil.copy(file, copy)
    study.report(0, point(20))
    settled(file)
    study.storage.engine.dispose()
    replace(file, copy)
    with pytest.raises(StorageReplaced, match=r"studies.db: .* while this search ran.*restore") as told:
        study.report(0, point(30))
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 1
    study.close()  # raises no further error
    if replace is not delete:
        with closing(sqlite3.connect(file)) as connection:
            written = "SELECT count(*) FROM trial_user_attributes WHERE key LIKE 'curve:%'"
            assert connection.execute(written).fetchone() == (1,), "the copy is as it was"


def test_a_search_ends_with_one_line_and_without_a_failure(open_study: Make, tmp_path: Path) -> None:
    study = open_study()

    def objective(params: dict, context: object):  # type: ignore[no-untyped-def,type-arg]
        for k, progress in enumerate(curve_objective(params, context)):  # type: ignore[arg-type]
            if k == 3:
                (tmp_path / "studies.db").unlink(missing_ok=True)
            yield progress

    with pytest.raises(StorageReplaced, match="the database was deleted while this search ran"):
        run_local(Session(study=study, budget=Budget(trials=4), root=tmp_path), objective)
    assert not any(record.state is State.FAIL for record in study.state.records)


def test_drivers_of_one_study_raise_one_counter(open_study: Make) -> None:
    first, second = open_study(), open_study()
    first.next(4), second.next(4)
    for windows in (10, 20, 30):
        first.report(0, point(windows))
        second.report(1, point(windows))
    assert [len(record.curve) for record in first.records()[:2]] == [3, 3]


@pytest.mark.slow
def test_an_older_state_of_a_server_is_noticed(postgres: str) -> None:
    study = Study(plan_of("older"), open_storage(postgres))
    study.next(4)
    with study.storage.engine.begin() as connection:
        old = sql.update(STUDY_ATTRIBUTES).where(STUDY_ATTRIBUTES.c.key == "generation").values(value_json="1")
        connection.execute(old)
    with pytest.raises(StorageReplaced, match="an older copy replaced the database"):
        study.report(0, point(10))
    study.close()
