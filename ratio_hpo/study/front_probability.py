"""Probabilities of being on the front, for the evaluated points and the running trials of a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrontCandidate:
    """An evaluated point with its probability of being on the front.

    Attributes:
        trial, cost: the trial's number, and the attributed cost of the point.
        mean, sd: posterior mean and standard deviation of its primary score.
        probability: probability that no point of equal or lower cost has a higher expected score.
    """

    trial: int
    cost: float
    mean: float
    sd: float
    probability: float


@dataclass(frozen=True, slots=True)
class ImprovementChance:
    """The probability that a running trial still improves the front.

    Attributes:
        chance: probability that any later point of its curve joins the front of the other trials.
        rival: number of the other trial with the highest expected score at a cost up to the total cost of this trial;
            None if there is none.
    """

    chance: float
    rival: int | None
