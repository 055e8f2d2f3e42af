"""Measures of a study's curves: anytime front, cost to target, area over the curve, hypervolume and paid cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ratio_hpo.core.measures import NOTHING, PaidCost
from ratio_hpo.core.trial import Progress, TrialRecord
from ratio_hpo.metrics.convergence import anytime_front, area_over_curve, cost_to_target, hypervolume


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A point of the front: one evaluation of one trial."""

    trial: TrialRecord
    progress: Progress

    @property
    def key(self) -> str:
        return point_key(self.trial.number, self.progress.stage, self.progress.windows)


def point_key(trial: int, stage: str, windows: int) -> str:
    """Return the key of a point, which also names its folder of kept weights."""
    return f"{trial}-{stage}-{windows}"


@dataclass(slots=True)
class Front:
    """The anytime front of a growing study; adding a point takes one binary search.

    Attributes:
        places: (cost, -primary score, trial, index of the evaluation) of each point, sorted by cost.
        joined: number of points that have joined the front so far; a change means that the front has changed.
    """

    places: list[tuple[float, float, int, int]] = field(default_factory=list)
    joined: int = 0

    def add(self, trial: int, index: int, progress: Progress) -> bool:
        """Add a point, and return whether it joined the front.

        A point without a primary score never joins. Of equal points, the one of the earlier trial stays.
        """
        if not progress.has_primary_score:
            return False
        candidate = (progress.cost, -progress.primary_score, trial, index)
        start = bisect_left(self.places, candidate)
        if start > 0 and self.places[start - 1][1] <= candidate[1]:
            return False
        end = start
        while end < len(self.places) and self.places[end][1] >= candidate[1]:
            end += 1
        self.places[start:end] = [candidate]
        self.joined += 1
        return True

    def points(self, records: Sequence[TrialRecord]) -> list[FrontPoint]:
        """Return the points of the front sorted by cost, with the current records of their trials."""
        return [FrontPoint(records[trial], records[trial].curve[index]) for _, _, trial, index in self.places]


def front(records: Iterable[TrialRecord]) -> list[FrontPoint]:
    """Return the points that no other point beats in both attributed cost and primary score, sorted by cost.

    Points of pruned trials are included.
    """
    points = [FrontPoint(record, progress) for record in records for progress in record.scored]
    return [points[k] for k in anytime_front((p.progress.cost, p.progress.primary_score) for p in points)]


def curve_points(record: TrialRecord) -> list[tuple[float, float]]:
    """Return the curve as pairs (attributed cost, primary score)."""
    return [(progress.cost, progress.primary_score) for progress in record.scored]


def summary(record: TrialRecord, target: float | None, largest_cost: float) -> dict[str, float | None]:
    """Return final primary score, total cost, cost to target and area over the curve of a trial.

    The cost to target is infinite for a censored trial, and None if the target is not known yet.
    """
    points = curve_points(record)
    return {
        "score": points[-1][1] if points else None,
        "cost": points[-1][0] if points else None,
        "cost_to_target": cost_to_target(points, target) if points and target is not None else None,
        "area_over_curve": area_over_curve(points, largest_cost) if points else None,
    }


def study_hypervolume(records: Sequence[TrialRecord], largest_cost: float) -> float:
    """Return the hypervolume of the anytime front as a fraction of [0, largest cost] x [0, 1]."""
    return hypervolume([point for record in records for point in curve_points(record)], largest_cost)


def front_hypervolume(members: Sequence[FrontPoint], largest_cost: float) -> float:
    """Return the hypervolume of a given front as a fraction of [0, largest cost] x [0, 1]."""
    return hypervolume([(member.progress.cost, member.progress.primary_score) for member in members], largest_cost)


def spent_on(records: Iterable[TrialRecord]) -> PaidCost:
    """Return the paid cost of the trials, summed."""
    last_points = (max(record.curve, key=lambda point: point.paid_cost) for record in records if record.curve)
    return sum((point.spent for point in last_points), NOTHING)
