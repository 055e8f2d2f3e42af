"""Recommendations from the response model: the recommended trial and the probable members of the front.

The driver stores the advice in the study as trials end, so that readers need no model. Advice is stale if trials or
evaluations were added after it was computed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.front import point_key
from ratio_hpo.storage import records as rec
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.surrogate.evidence import FIRST_FIT
from ratio_hpo.surrogate.response import Response

KEY = "advice"
"""Study attribute that stores the advice."""

MIN_TRIALS = FIRST_FIT
"""Number of ended trials that the model needs."""

WORK = 0.05
"""Maximum fraction of a driver's time that is spent on advice."""

SHOWN = 0.05
"""Minimum probability of being on the front at which a point is listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A point that may be on the front.

    Attributes:
        trial, stage, windows, cost: the trial's number, and the stage, windows and attributed cost of the evaluation.
        mean, sd: posterior mean and standard deviation of the primary score.
        probability: probability that no point of equal or lower cost has a higher expected score.
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
        """Key of the point, in the same format as `FrontPoint.key`."""
        return point_key(self.trial, self.stage, self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The response model's recommendation for a study.

    Attributes:
        ended, points: numbers of ended trials and of evaluations that the advice is based on.
        trial: number of the COMPLETE trial with the highest expected final primary score.
        mean, sd: posterior mean and standard deviation of that primary score.
        front: points that may be on the front, sorted by cost.
    """

    ended: int
    points: int
    trial: int
    mean: float
    sd: float
    front: tuple[Member, ...]

    def is_of(self, records: Sequence[TrialRecord]) -> bool:
        """Return whether the advice is based on all these records."""
        return (self.ended, self.points) == extent(records)


JSON: TypeAdapter[Advice] = TypeAdapter(Advice)


def read_advice(attributes: rec.Attributes) -> Advice | None:
    """Return the advice stored in a study's attributes; None if there is none."""
    return JSON.validate_python(attributes[KEY]) if KEY in attributes else None


def extent(records: Sequence[TrialRecord]) -> tuple[int, int]:
    """Return the number of ended trials and the number of evaluations with a primary score."""
    return sum(r.state.finished or r.done for r in records), sum(len(r.scored) for r in records)


def advise(response: Response, records: Sequence[TrialRecord]) -> Advice | None:
    """Return the model's advice; None if too few trials have ended or none is COMPLETE."""
    ended_records = response.ended(records)
    complete = [record.number for record in ended_records if record.state is State.COMPLETE or record.done]
    if len(ended_records) < MIN_TRIALS or not complete:
        return None
    model = response.model(records)
    expected = model.finals()
    complete = [number for number in complete if number in expected]  # the model leaves trials out of a large study
    trial = max(complete, key=lambda number: (expected[number][0], -number))
    members = []
    for candidate in model.front_candidates():
        if candidate.probability >= SHOWN:
            point = next(p for p in records[candidate.trial].scored if p.cost == candidate.cost)
            members.append(
                Member(trial=candidate.trial, stage=point.stage, windows=point.windows, cost=candidate.cost,
                       mean=candidate.mean, sd=candidate.sd, probability=candidate.probability)
            )  # fmt: skip
    ended, points = extent(records)
    mean, sd = expected[trial]
    members.sort(key=lambda member: (member.cost, -member.probability, member.trial))
    return Advice(ended=ended, points=points, trial=trial, mean=mean, sd=sd, front=tuple(members))


def best_trial(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the COMPLETE trial with the highest final primary score; None if no trial is COMPLETE."""
    complete = [record for record in records if record.state is State.COMPLETE and record.scored]
    return max(complete, key=lambda record: (record.scored[-1].primary_score, -record.number), default=None)


def recommended_trial(records: Sequence[TrialRecord], advice: Advice | None) -> TrialRecord | None:
    """Return the trial that the advice recommends; without advice, the one with the highest final primary score."""
    return best_trial(records) if advice is None else records[advice.trial]


class Adviser:
    """Computes and stores advice during a study, within a small fraction of the driver's time.

    Args:
        response: builds the response model.
        storage: storage of the study.
        study_id: Optuna's id of the study.
        idle: whether to compute no advice, as in a confirmation, whose trials differ in their seeds only.
    """

    def __init__(self, response: Response, storage: RetryingStorage, study_id: int, *, idle: bool = False) -> None:
        self._idle = idle
        self._response, self._storage, self._study_id = response, storage, study_id
        self._stored = read_advice(storage.get_study_user_attrs(study_id))
        self._next = 0.0

    def recommended(self, records: Sequence[TrialRecord]) -> TrialRecord | None:
        """Return the trial that the latest advice recommends."""
        return recommended_trial(records, self._stored)

    def update(self, records: Sequence[TrialRecord], *, hurried: bool = False) -> None:
        """Compute the advice for these records and store it.

        Args:
            hurried: skip the update if it would exceed the fraction of time reserved for advice.
        """
        began = time.monotonic()
        if self._idle or (hurried and began < self._next) or (self._stored is not None and self._stored.is_of(records)):
            return
        advice = advise(self._response, records)
        if advice is not None:
            self._storage.set_study_user_attr(self._study_id, KEY, JSON.dump_python(advice, mode="json"))
            self._stored = advice
        self._next = time.monotonic() + (time.monotonic() - began) / WORK
