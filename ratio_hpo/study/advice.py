"""What to take from a study, by what the response model expects: the trial to take, and how sure the front is.

The driver stores it as trials end, so that readers need no model; where more is known than it was made of, it is
stale.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.study.front import point_key
from ratio_hpo.study.response import Response
from ratio_hpo.study.retrying_storage import RetryingStorage

KEY = "advice"
"""Attribute of the study."""

MIN_TRIALS = 8
"""Trials that must have ended before the model is asked."""

WORK = 0.05
"""Part of a driver's time that advice takes at most."""

SHOWN = 0.05
"""Points that belong to the front with less probability are not named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A point that may belong to the front.

    Attributes:
        trial, stage, windows, cost: which.
        mean, sd: of its primary score as the model expects it.
        probability: that no point at most so expensive has a higher expected score.
    """

    trial: int
    stage: str
    windows: int
    cost: float
    mean: float
    sd: float
    probability: float

    @property
    def key(self) -> str:
        """As that of a `FrontPoint`."""
        return point_key(self.trial, self.stage, self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the model says of a study.

    Attributes:
        ended, points: trials that had ended, and evaluations, of which it was made.
        trial: COMPLETE, with the highest expected final primary score.
        mean, sd: of that primary score.
        front: points that may belong to the front, by cost.
    """

    ended: int
    points: int
    trial: int
    mean: float
    sd: float
    front: tuple[Member, ...]

    def is_of(self, records: Sequence[TrialRecord]) -> bool:
        """Whether it was made of all that is known."""
        return (self.ended, self.points) == extent(records)


JSON: TypeAdapter[Advice] = TypeAdapter(Advice)


def read_advice(attributes: Mapping[str, Any]) -> Advice | None:
    """The advice among a study's attributes."""
    return JSON.validate_python(attributes[KEY]) if KEY in attributes else None


def extent(records: Sequence[TrialRecord]) -> tuple[int, int]:
    """Trials that have ended, and evaluations with a primary score."""
    return sum(r.state.finished or r.done for r in records), sum(len(r.scored) for r in records)


def advise(response: Response, records: Sequence[TrialRecord]) -> Advice | None:
    """What the model says; None: too few trials have ended, or none is COMPLETE."""
    ended_ones = response.ended(records)
    whole = [record.number for record in ended_ones if record.state is State.COMPLETE or record.done]
    if len(ended_ones) < MIN_TRIALS or not whole:
        return None
    model = response.model(records)
    expected = model.finals()
    whole = [number for number in whole if number in expected]  # of very many trials not all have a place in the model
    trial = max(whole, key=lambda number: (expected[number][0], -number))
    members = []
    for each in model.standings():
        if each.probability >= SHOWN:
            point = next(p for p in records[each.trial].scored if p.cost == each.cost)
            members.append(
                Member(trial=each.trial, stage=point.stage, windows=point.windows, cost=each.cost, mean=each.mean,
                       sd=each.sd, probability=each.probability)
            )  # fmt: skip
    ended, points = extent(records)
    mean, sd = expected[trial]
    members.sort(key=lambda member: (member.cost, -member.probability, member.trial))
    return Advice(ended=ended, points=points, trial=trial, mean=mean, sd=sd, front=tuple(members))


def best_trial(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The COMPLETE trial with the highest final primary score; None: there is none."""
    complete = [record for record in records if record.state is State.COMPLETE and record.scored]
    return max(complete, key=lambda record: (record.scored[-1].primary_score, -record.number), default=None)


def recommended_trial(records: Sequence[TrialRecord], advice: Advice | None) -> TrialRecord | None:
    """The trial that advice recommends; before there is any, the one with the highest final primary score."""
    return best_trial(records) if advice is None else records[advice.trial]


class Adviser:
    """Stores advice as a study goes on, for a small part of the driver's time.

    Args:
        study_id: Optuna's.
        idle: whether there is nothing to advise: trials of a confirmation differ in their seeds.
    """

    def __init__(self, response: Response, storage: RetryingStorage, study_id: int, *, idle: bool = False) -> None:
        self._idle = idle
        self._response, self._storage, self._study_id = response, storage, study_id
        self._stored = read_advice(storage.get_study_user_attrs(study_id))
        self._next = 0.0

    def recommended(self, records: Sequence[TrialRecord]) -> TrialRecord | None:
        """The trial that is recommended as far as the model was asked."""
        return recommended_trial(records, self._stored)

    def update(self, records: Sequence[TrialRecord], *, hurried: bool = False) -> None:
        """Store what the model says now.

        Args:
            hurried: pass over it where the last time was too short ago for what it took.
        """
        began = time.monotonic()
        if self._idle or (hurried and began < self._next) or (self._stored is not None and self._stored.is_of(records)):
            return
        advice = advise(self._response, records)
        if advice is not None:
            self._storage.set_study_user_attr(self._study_id, KEY, JSON.dump_python(advice, mode="json"))
            self._stored = advice
        self._next = time.monotonic() + (time.monotonic() - began) / WORK
