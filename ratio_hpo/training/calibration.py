"""Measurement of training and evaluation time on this machine from a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.training.checkpoint import StageMetrics
from ratio_hpo.training.engine import Engine
from ratio_hpo.training.evaluation import Evaluation, TaskWindows
from ratio_hpo.training.stage import Stage

MAX_STEPS, MAX_SECONDS, MAX_WINDOWS = 20, 5.0, 32


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured training and evaluation time.

    Attributes:
        window: seconds per training window.
        evaluation: seconds of one evaluation of every language and split.
        steps: number of timed steps.
    """

    window: float
    evaluation: float
    steps: int


def calibrate(engine: Engine, stage: Stage, sources: Mapping[str, TaskWindows], evaluation: Evaluation) -> Calibration:
    """Time up to 20 steps or 5 seconds of training, and the evaluation of up to 32 windows per target.

    The first step is a warm-up and counts only if it alone took 5 seconds.
    """
    optimizer, stream = engine.optimizer(stage), MixtureStream(stage.mixture, stage.seed)
    spent = _timed(lambda: engine.step(stage, 0, stream, sources, optimizer, StageMetrics()))
    steps = 1
    if spent < MAX_SECONDS:
        spent, steps = 0.0, 0
        while steps < MAX_STEPS and spent < MAX_SECONDS:
            steps += 1
            spent += _timed(partial(engine.step, stage, steps, stream, sources, optimizer, StageMetrics()))
    window = spent / (steps * stage.batch_size)
    total = 0.0
    for target in evaluation.targets:
        sets = evaluation.windows(target)
        smallest = min(sets, key=lambda scored: len(scored.windows))
        chosen = [(smallest, index) for index in range(min(MAX_WINDOWS, len(smallest.windows)))]
        total += _timed(partial(engine.forward, chosen)) / len(chosen) * sum(len(scored.windows) for scored in sets)
    engine.reset()
    return Calibration(window=window, evaluation=total, steps=steps)


def _timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    start = time.monotonic()
    action()
    return time.monotonic() - start
