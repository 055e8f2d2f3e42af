"""Own objectives that misbehave; light, since the processes that run them import this."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ratio_hpo.core.trial import Context, Params, Progress

RUNGS = tuple(range(10, 110, 10))


def point(windows: int, **scores: float) -> Progress:
    return Progress(
        stage="target", windows=windows, cost=windows, scores={f"f1/{k}": v for k, v in (scores or {"en": 0.5}).items()}
    )


def exits(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 1 leaves Python."""
    yield point(10)
    if context.trial == 1:
        sys.exit(0)
    yield point(100)


def dies(params: Params, context: Context) -> Iterator[Progress]:
    """Trial 1 takes its process down, at the same place each time."""
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
    """Trial 1 dies at each new evaluation, once: each attempt gets further."""
    for windows in RUNGS:
        yield point(windows)
        mark = Path(context.root) / f"died-{windows}"
        if context.trial == 1 and not mark.exists():
            mark.touch()
            os._exit(1)


def drops_a_language(params: Params, context: Context) -> Iterator[Progress]:
    yield point(10, en=0.5, sw=0.4)
    yield point(20, en=0.9) if context.trial == 1 else point(20, en=0.5, sw=0.4)
    yield point(100, en=0.6, sw=0.5)


def adds_a_language(params: Params, context: Context) -> Iterator[Progress]:
    """A later trial is scored in one more language."""
    yield point(100, en=0.5, sw=0.4, ko=0.9) if context.trial == 2 else point(100, en=0.5, sw=0.4)


def endless(params: Params, context: Context) -> Iterator[Progress]:
    """Evaluations off the grid, without end; says when it is closed."""
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
    """Says that it has begun, and hangs."""
    with (Path(context.root) / "begun").open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(600)
    yield point(100)
