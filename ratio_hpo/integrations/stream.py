"""Convert a training loop with callbacks into a generator of progress."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from ratio_hpo.core.trial import Decision, Progress

Report = Callable[[Progress], Decision]
"""Function that reports an evaluation and returns the study's decision; on STOP, training must end."""


def scores_of(measure: str, language: str, value: float) -> dict[str, float]:
    """Return a score under `score/` and under the name of its measure.

    Examples:
        >>> scores_of("accuracy", "sw", 0.5)
        {'score/sw': 0.5, 'accuracy/sw': 0.5}
    """
    return {f"score/{language}": value, f"{measure}/{language}": value}


class TrainingStopped(Exception):
    """Raised in a training loop that reports again after the decision STOP."""


def progress_stream(train: Callable[[Report], object]) -> Iterator[Progress]:
    """Run a training loop, and yield the progress that it reports.

    The loop runs in a thread, but never at the same time as the consumer of the generator: each report waits for the
    decision. Closing the generator returns STOP to the loop and waits until the loop has ended.

    Args:
        train: Function that runs the loop; its argument is the function to report with.

    Raises:
        Exception: Any error of the loop.

    Examples:
        >>> def train(report):
        ...     for windows in (100, 200, 300):
        ...         point = Progress(stage="target", windows=windows, cost=windows, scores={"f1/mean": 0.5})
        ...         if report(point) is Decision.STOP:
        ...             return
        >>> stream = progress_stream(train)
        >>> next(stream).windows, next(stream).windows
        (100, 200)
        >>> stream.close()  # the trial is pruned
    """
    reports: queue.Queue[Progress | None] = queue.Queue()
    answers: queue.Queue[Decision] = queue.Queue()
    stopped = threading.Event()
    errors: list[BaseException] = []

    def report(progress: Progress) -> Decision:
        if stopped.is_set():
            raise TrainingStopped("training continued after Decision.STOP; end the loop when `report` returns it")
        reports.put(progress)
        return answers.get()

    def run() -> None:
        try:
            train(report)
        except BaseException as error:  # raised again in the thread that reads the generator
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
