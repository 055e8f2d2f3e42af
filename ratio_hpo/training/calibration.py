"""How long training and evaluation take on this machine, from a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.training.engine import Engine, EvalSet, StageMetrics, TrainingSource
from ratio_hpo.training.evaluation import Evaluation
from ratio_hpo.training.stage import Stage

MAX_STEPS, MAX_SECONDS, MAX_WINDOWS = 20, 5.0, 32


@dataclass(frozen=True, slots=True)
class Calibration:
    """Seconds of one training window, and of one evaluation of every language and split."""

    window: float
    evaluation: float
    steps: int


def calibrate(
    engine: Engine, stage: Stage, sources: Mapping[str, TrainingSource], evaluation: Evaluation
) -> Calibration:
    """Time up to 20 steps or 5 seconds, and the evaluation of up to 32 windows of each target.

    The first step, which warms up, counts only where it alone took the 5 seconds.
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
    whole = 0.0
    for target in evaluation.targets:
        sets = evaluation.windows(target)
        smallest = EvalSet(min(sets, key=len), target.task, target.head)
        chosen = [(smallest, index) for index in range(min(MAX_WINDOWS, len(smallest.windows)))]
        whole += _timed(partial(engine.forward, chosen)) / len(chosen) * sum(map(len, sets))
    engine.reset()
    return Calibration(window=window, evaluation=whole, steps=steps)


def _timed(act: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    act()
    return time.monotonic() - began
