"""Custom objectives that misbehave. This module imports little, since the processes that run objectives import it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ratio_hpo.core.extensions import Registry
from ratio_hpo.core.trial import Context, Params, Progress

RUNGS = tuple(range(10, 110, 10))


def point(windows: int, **scores: float) -> Progress:
    return Progress(
        stage="target", windows=windows, cost=windows, scores={f"f1/{k}": v for k, v in (scores or {"en": 0.5}).items()}
    )


def exits(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 1 exits Python."""
    yield point(10)
    if context.trial == 1:
        sys.exit(0)
    yield point(100)


def dies(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 1 ends its process at the same point each time."""
    yield point(10)
    if context.trial == 1:
        os._exit(0)
    yield point(100)


def crashes(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 1 is killed by a signal."""
    if context.trial == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    yield point(100)


def dies_once_a_rung(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 1 dies once at each new evaluation, so each attempt gets further."""
    for windows in RUNGS:
        yield point(windows)
        mark = Path(context.root) / f"died-{windows}"
        if context.trial == 1 and not mark.exists():
            mark.touch()
            os._exit(1)


def starves(params: Params, context: Context) -> Iterator[Progress]:
    """The kernel kills trial 1 for lack of memory, and counts each kill, until the trial uses a quarter of it."""
    if context.trial == 1 and context.smaller < 2:
        counter = Path(context.root) / "vmstat"
        counter.write_text(f"pgfault 7\noom_kill {int(counter.read_text().split()[-1]) + 1}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    yield point(100, en=0.5 + 0.1 * context.smaller)


def drops_a_language(params: Params, context: Context) -> Iterator[Progress]:
    yield point(10, en=0.5, sw=0.4)
    yield point(20, en=0.9) if context.trial == 1 else point(20, en=0.5, sw=0.4)
    yield point(100, en=0.6, sw=0.5)


def adds_a_language(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 2 is scored in one more language."""
    yield point(100, en=0.5, sw=0.4, ko=0.9) if context.trial == 2 else point(100, en=0.5, sw=0.4)


def says_little_at_first(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 0 reports only the mean score, the other trials report scores by language."""
    if context.trial == 0:
        yield Progress(stage="target", windows=100, cost=100, scores={"f1/mean": 0.5})
    else:
        yield point(100, en=0.9)


def cleans_up(params: Params, context: Context) -> Iterator[Progress]:
    """Clean-up takes half a second and fails in trial 1."""
    try:
        for windows in RUNGS:
            yield point(windows, en=0.01 if context.trial else 0.9)
    finally:
        time.sleep(0.5)
        (Path(context.root) / f"clean-{context.trial}").touch()
        if context.trial == 1:
            raise RuntimeError("in the clean-up")


def says_it_in_three_lines(params: Params, context: Context) -> Iterator[Progress]:
    if context.trial == 1:
        raise ValueError("one\ntwo\nthree")
    yield point(100)


def names_weights_by_a_path(params: Params, context: Context) -> Iterator[Progress]:
    weights = Path("x") if context.trial == 1 else None
    yield Progress(stage="target", windows=100, cost=100, scores={"f1/en": 0.5}, weights=weights)  # type: ignore[arg-type]


def early(params: Params, context: Context) -> Iterator[Progress]:
    """Scores fall, and cost is twice the windows, so the full cost is reached at half of the rungs."""
    for windows in RUNGS:
        yield Progress(
            stage="target",
            windows=windows,
            cost=2.0 * windows,
            scores={"f1/en": 0.5 - windows / 300 - context.trial / 50},
        )


def endless(params: Params, context: Context) -> Iterator[Progress]:
    """Yield evaluations off the grid forever, and leave a file when closed."""
    try:
        for windows in range(7, 10**9, 7):
            yield point(windows)
    finally:
        (Path(context.root) / f"closed-{context.trial}").touch()


def where_it_runs(params: Params, context: Context) -> Iterator[Progress]:
    with (Path(context.root) / "processes").open("a") as file:
        file.write(f"{os.getpid()}\n")
    print("noise on stdout")
    yield point(100)


def forever(params: Params, context: Context) -> Iterator[Progress]:
    """Write the process id to `begun`, then hang."""
    with (Path(context.root) / "begun").open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(600)
    yield point(100)


def hangs_once(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 1 hangs halfway, but only in its first process."""
    mark = Path(context.root) / "hung"
    for windows in RUNGS:
        if context.trial == 1 and windows == 50 and not mark.exists():
            mark.touch()
            time.sleep(600)
        yield point(windows, en=windows / 200)


def is_slow(params: Params, context: Context) -> Iterator[Progress]:
    """Each evaluation of trial 1 is slow."""
    for windows in RUNGS:
        if context.trial == 1:
            time.sleep(1.5)
        yield point(windows, en=windows / 200)


LETTERS: Registry[float] = Registry("letter", {})
"""Components that an objective names."""


def scores_a_letter(params: Params, context: Context) -> Iterator[Progress]:
    yield point(100, en=LETTERS.find("half"))
