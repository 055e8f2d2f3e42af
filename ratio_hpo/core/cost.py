"""What was really spent, after reuse."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaidCost:
    """What was really spent, after reuse.

    Attributes:
        cost, seconds, flops: of training: in the study's unit, and 6 x parameters x tokens.
        scored, scoring_seconds: windows that were scored, and how long that took.
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
"""Measures of what was really spent beside the cost, in the order of `Spent`."""
