"""One process writes a study to a tracker. Another process takes over only after the first has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sql

from ratio_hpo.storage.connect import Storage
from ratio_hpo.storage.leases import LEASES, TERM, take_writer, writer_of
from ratio_hpo.storage.writer import Writer, writing
from ratio_hpo.study import Study
from tests.conftest import Hand
from tests.study.test_leases import elsewhere

Make = Callable[..., Study]


def rows(storage: Storage) -> int:
    with storage.engine.connect() as connection:
        return len(connection.execute(sql.select(LEASES).where(LEASES.c.trial_id < 0)).all())


def test_one_of_many_writes_and_the_next_one_after_it(open_study: Make) -> None:
    storage = open_study().storage
    writers = [Writer(storage, 1) for _ in range(8)]
    held = [False] * len(writers)

    def try_it(k: int) -> None:
        held[k] = writers[k].hold()

    threads = [threading.Thread(target=try_it, args=(k,)) for k in range(len(writers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(held) == 1
    holder = writers[held.index(True)]
    assert holder.hold(), "it has it already"
    other = writers[held.index(False)]
    assert not other.wait(0.0)
    holder.release()
    with writing(other):
        assert other.hold()
    assert rows(storage) == 0


def test_a_writer_of_another_study_is_no_hindrance(open_study: Make) -> None:
    storage = open_study().storage
    assert Writer(storage, 1).hold()
    assert Writer(storage, 2).hold()


def test_a_writer_that_is_gone_is_followed_after_a_term(open_study: Make) -> None:
    storage, clock = open_study().storage, Hand()
    gone = replace(elsewhere(writer_of(1)), token="gone")
    assert take_writer(storage, gone, None)
    writer = Writer(storage, 1, clock)
    assert not writer.hold()
    while clock.now < TERM:
        clock.sleep(5.0)
        last = writer.hold()
    assert last
    writer.release()
    assert rows(storage) == 0
