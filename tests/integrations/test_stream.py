"""A training loop with a callback, used as a generator."""

from __future__ import annotations

import threading

import pytest

from ratio_hpo.core.trial import Decision, Progress
from ratio_hpo.integrations.stream import Report, TrainingStopped, progress_stream


def point(windows: int) -> Progress:
    return Progress(stage="target", windows=windows, cost=windows, scores={"f1/mean": 0.5})


def test_what_a_loop_reports_is_yielded_in_turn() -> None:
    done: list[int] = []

    def train(report: Report) -> None:
        for windows in (10, 20, 30):
            assert report(point(windows)) is Decision.CONTINUE
            done.append(windows)

    stream = progress_stream(train)
    assert next(stream).windows == 10
    assert done == []  # the loop waits for the decision
    assert [progress.windows for progress in stream] == [20, 30]
    assert done == [10, 20, 30]


def test_closing_stops_the_loop_and_waits_for_its_end() -> None:
    ended = threading.Event()

    def train(report: Report) -> None:
        windows = 0
        while report(point(windows := windows + 10)) is Decision.CONTINUE:
            pass
        ended.set()

    stream = progress_stream(train)
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert ended.is_set()


def test_a_loop_that_does_not_stop_is_broken_off() -> None:
    caught: list[Exception] = []

    def train(report: Report) -> None:
        try:
            for windows in range(10, 1000, 10):
                report(point(windows))
        except TrainingStopped as error:
            caught.append(error)

    stream = progress_stream(train)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(caught) == 1


def test_an_error_of_the_loop_is_raised_where_it_is_read() -> None:
    def train(report: Report) -> None:
        report(point(10))
        raise RuntimeError("out of data")

    stream = progress_stream(train)
    next(stream)
    with pytest.raises(RuntimeError, match="out of data"):
        next(stream)
