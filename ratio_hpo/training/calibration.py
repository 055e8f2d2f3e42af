"""How long training and evaluation take on this machine, from a few steps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ratio_hpo.data.mixing import MixtureStream
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.training.engine import Engine, Tally
from ratio_hpo.training.evaluation import Evaluation
from ratio_hpo.training.stage import StageSpec

MOST_STEPS, MOST_SECONDS = 20, 5.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Seconds of one training window, and of one evaluation of every language and split."""

    window: float
    evaluation: float
    steps: int


def calibrate(engine: Engine, spec: StageSpec, sources: Mapping[str, WindowSet], evaluation: Evaluation) -> Calibration:
    """Time up to 20 steps or 5 seconds after one step of warm-up, and the smallest evaluation set."""
    optimizer, stream = engine.optimizer(spec), MixtureStream(spec.mixture, spec.seed)
    engine.step(spec, 0, stream, sources, optimizer, Tally())
    began, steps = time.monotonic(), 0
    while steps < 1 or (steps < MOST_STEPS and time.monotonic() - began < MOST_SECONDS):
        steps += 1
        engine.step(spec, steps, stream, sources, optimizer, Tally())
    window = (time.monotonic() - began) / (steps * spec.batch_size)
    smallest = min(evaluation.parts, key=len)
    began = time.monotonic()
    engine.infer([smallest])
    each = (time.monotonic() - began) / len(smallest)
    engine.reset()
    return Calibration(window=window, evaluation=each * sum(map(len, evaluation.parts)), steps=steps)
