"""From a loop that calls back to a generator that yields."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from ratio_hpo.core.trial import Decision, Progress

Report = Callable[[Progress], Decision]
"""Hands on an evaluation, waits for the study, and gives its answer: on STOP, training is to end."""


def scores_of(measure: str, language: str, value: float) -> dict[str, float]:
    """A score under the name of its measure, and as what trials are compared by.

    Examples:
        >>> scores_of("accuracy", "sw", 0.5)
        {'score/sw': 0.5, 'accuracy/sw': 0.5}
    """
    return {f"score/{language}": value, f"{measure}/{language}": value}


class TrainingStopped(Exception):
    """A loop that was told to stop has evaluated again."""


def progress_stream(train: Callable[[Report], object]) -> Iterator[Progress]:
    """Run a loop that owns its control flow, and yield what it reports.

    The loop runs in a thread, but never at the same time as whoever takes the progress: each report waits for the
    answer. Closing the generator answers STOP and waits until the loop has ended.

    Args:
        train: runs the loop with a function to report to.

    Raises:
        Exception: whatever the loop raises.

    Examples:
        >>> def train(report):
        ...     for windows in (100, 200, 300):
        ...         point = Progress(stage="target", windows=windows, cost=windows, scores={"f1/mean": 0.5})
        ...         if report(point) is Decision.STOP:
        ...             return
        >>> stream = progress_stream(train)
        >>> next(stream).windows, next(stream).windows
        (100, 200)
        >>> stream.close()  # the study says stop
    """
    reports: queue.Queue[Progress | None] = queue.Queue()
    answers: queue.Queue[Decision] = queue.Queue()
    stopped = threading.Event()
    errors: list[BaseException] = []

    def report(progress: Progress) -> Decision:
        if stopped.is_set():
            raise TrainingStopped("the study said stop, but training went on; end the loop on Decision.STOP")
        reports.put(progress)
        return answers.get()

    def run() -> None:
        try:
            train(report)
        except BaseException as error:  # it is raised again where the generator is read
            errors.append(error)
        finally:
            reports.put(None)

    thread = threading.Thread(target=run, name="training", daemon=True)
    thread.start()
    waiting = False
    try:
        while (progress := reports.get()) is not None:
            waiting = True
            yield progress
            waiting = False
            answers.put(Decision.CONTINUE)
        if errors:
            raise errors[0]
    finally:
        stopped.set()
        if waiting:
            answers.put(Decision.STOP)
            thread.join()
