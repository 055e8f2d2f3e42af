"""Learning-rate schedules as functions of position."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

WSD_DECAY = 0.3
"""Fraction of a `wsd` stage that decays (warm-up, stable, decay: Hu et al. 2024, arXiv 2404.06395)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A position in a schedule: `step` of `steps`, of which `warmup` are warm-up."""

    step: int
    steps: int
    warmup: int


def decay_start(steps: int) -> int:
    """Return the first step of the decay of a `wsd` stage."""
    return steps - round(steps * WSD_DECAY)


def _constant(span: Span) -> float:
    return 1.0


def _wsd(span: Span) -> float:
    start = decay_start(span.steps)
    return 1.0 if span.step < start else (span.steps - span.step) / (span.steps - start + 1)


def _linear(span: Span) -> float:
    return (span.steps - span.step) / max(span.steps - span.warmup, 1)


def _cosine(span: Span) -> float:
    return 0.5 * (1 + math.cos(math.pi * (span.step - span.warmup) / max(span.steps - span.warmup, 1)))


SCHEDULES: dict[str, Callable[[Span], float]] = {
    "constant": _constant,
    "wsd": _wsd,
    "linear": _linear,
    "cosine": _cosine,
}

LOOKS_AHEAD = frozenset({"linear", "cosine"})
"""Schedules in which every learning rate depends on the total number of steps."""


def factor(schedule: str, step: int, *, steps: int, warmup: int) -> float:
    """Return the factor of the learning rate at update `step` (from 0), in [0, 1]."""
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[schedule](Span(step=step, steps=steps, warmup=warmup))
