"""The paid cost: what was spent after reuse of stored stages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaidCost:
    """The paid cost of training and scoring, after reuse of stored stages.

    Attributes:
        cost: Training cost in the study's unit, windows or tokens.
        seconds: Duration of training.
        flops: Floating-point operations of training, 6 x parameters x tokens.
        scored: Windows that were scored.
        scoring_seconds: Duration of scoring.
    """

    cost: float = 0.0
    seconds: float = 0.0
    flops: float = 0.0
    scored: float = 0.0
    scoring_seconds: float = 0.0

    def __add__(self, other: PaidCost) -> PaidCost:
        return PaidCost(*(getattr(self, key) + getattr(other, key) for key in self.__slots__))

    def __sub__(self, other: PaidCost) -> PaidCost:
        return PaidCost(*(getattr(self, key) - getattr(other, key) for key in self.__slots__))


NOTHING = PaidCost()

PAID: tuple[str, ...] = ("paid_seconds", "paid_flops", "paid_scored", "paid_scoring_seconds")
"""Measures of the paid cost, other than the cost itself, in the order of the fields of `PaidCost`."""
