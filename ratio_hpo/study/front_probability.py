"""What a model says of the points and trials of a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrontCandidate:
    """A point that was measured, and how it stands to the front.

    Attributes:
        mean, sd: of its primary score as it is expected.
        probability: that no point at most so expensive has a higher expected score.
    """

    trial: int
    cost: float
    mean: float
    sd: float
    probability: float


@dataclass(frozen=True, slots=True)
class ImprovementChance:
    """What is left to hope for from a trial.

    Attributes:
        chance: probability that any later point of its curve joins the front of the others.
        rival: the trial with the best expected score at a cost within what is left; None: there is none.
    """

    chance: float
    rival: int | None
