"""Numbers of a study that its curves give: the anytime front, cost to target, area, hypervolume, paid cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ratio_hpo.core.cost import NOTHING, PaidCost
from ratio_hpo.core.trial import Progress, TrialRecord
from ratio_hpo.metrics.convergence import anytime_front, area_over_curve, cost_to_target, hypervolume


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A member of the front: a trial, stopped at a rung."""

    trial: TrialRecord
    progress: Progress

    @property
    def key(self) -> str:
        return point_key(self.trial.number, self.progress.stage, self.progress.windows)


def point_key(trial: int, stage: str, windows: int) -> str:
    """What a point of a trial is called, in names of folders too."""
    return f"{trial}-{stage}-{windows}"


@dataclass(slots=True)
class Front:
    """The anytime front of a study that grows: each new point costs one search, whatever the study holds.

    Attributes:
        places: (cost, -primary score, trial, number of the evaluation) of each member, by cost.
        joined: how many points have joined so far, so that a watcher sees whether it changed.
    """

    places: list[tuple[float, float, int, int]] = field(default_factory=list)
    joined: int = 0

    def add(self, trial: int, index: int, progress: Progress) -> bool:
        """Take in a point; returns whether it joined. Of equal points the one of the earlier trial stays.

        One without a primary score is no candidate.
        """
        if not progress.has_primary_score:
            return False
        place = (progress.cost, -progress.primary_score, trial, index)
        at = bisect_left(self.places, place)
        if at > 0 and self.places[at - 1][1] <= place[1]:
            return False
        beaten = at
        while beaten < len(self.places) and self.places[beaten][1] >= place[1]:
            beaten += 1
        self.places[at:beaten] = [place]
        self.joined += 1
        return True

    def points(self, records: Sequence[TrialRecord]) -> list[FrontPoint]:
        """The members, by cost, with their trials as they stand."""
        return [FrontPoint(records[trial], records[trial].curve[index]) for _, _, trial, index in self.places]


def front(records: Iterable[TrialRecord]) -> list[FrontPoint]:
    """Points (attributed cost, primary score) that no other one beats in both, pruned trials included, by cost."""
    points = [FrontPoint(record, progress) for record in records for progress in record.scored]
    return [points[k] for k in anytime_front((p.progress.cost, p.progress.primary_score) for p in points)]


def curve_points(record: TrialRecord) -> list[tuple[float, float]]:
    """The curve as (attributed cost, primary score)."""
    return [(progress.cost, progress.primary_score) for progress in record.scored]


def summary(record: TrialRecord, target: float | None, largest_cost: float) -> dict[str, float | None]:
    """Final primary score, cost to target (infinity: censored; None: no target yet) and area over the curve."""
    points = curve_points(record)
    return {
        "score": points[-1][1] if points else None,
        "cost": points[-1][0] if points else None,
        "cost_to_target": cost_to_target(points, target) if points and target is not None else None,
        "area_over_curve": area_over_curve(points, largest_cost) if points else None,
    }


def study_hypervolume(records: Sequence[TrialRecord], largest_cost: float) -> float:
    """Of the anytime front, as a part of [0, largest cost] x [0, 1]."""
    return hypervolume([point for record in records for point in curve_points(record)], largest_cost)


def front_hypervolume(members: Sequence[FrontPoint], largest_cost: float) -> float:
    """Of a front that is known, as a part of [0, largest cost] x [0, 1]."""
    return hypervolume([(member.progress.cost, member.progress.primary_score) for member in members], largest_cost)


def spent_on(records: Iterable[TrialRecord]) -> PaidCost:
    """What the study really spent."""
    most = (max(record.curve, key=lambda point: point.paid_cost) for record in records if record.curve)
    return sum((point.spent for point in most), NOTHING)
