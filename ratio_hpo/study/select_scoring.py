"""Which evaluations are scored on `select` too, while a trial runs: scoring is paid as training is.

A rung is scored on `prune`. `select` is what objectives, fronts and samplers read; it is scored at a trial's end, and
where its point may join the front or decide what the trial cost until the target. The model need not be trusted to
look ahead for that, as a pruner must: the point itself was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from ratio_hpo.core.trial import Progress, TrialRecord
from ratio_hpo.study.response import Response, shown

Where = Literal["likely", "always"]
"""`likely`: where a point may join the front or reach the target; `always`: at every rung."""

LEAST = 2
"""Trials that must have ended before the model is asked; until then every rung is scored."""

LIKELY = 0.2
"""Probability from which on a point is scored."""


class SelectScoring:
    """Says where `select` is worth its price.

    Args:
        response: makes models of `prune`.
        records: all trials so far.
        where: None: objectives score both splits at once, and are not asked.
        likely: probability from which on a point is scored.
    """

    def __init__(
        self,
        response: Response,
        records: Callable[[], Sequence[TrialRecord]],
        where: Where | None,
        likely: float = LIKELY,
    ) -> None:
        self._response, self._records, self._where, self._likely = response, records, where, likely

    @property
    def asks(self) -> bool:
        """Whether trials are to wait with `select` until they are asked."""
        return self._where is not None

    def wants(self, number: int, progress: Progress, target: float | None, *, ends: bool) -> bool:
        """Whether an evaluation is to be scored on `select` too.

        Args:
            target: headline that trials are timed to; None: not known yet.
            ends: whether it is the trial's last one.
        """
        if self._where is None or not progress.lacks_select:
            return False
        if ends or self._where == "always" or target is None:
            return True
        if not progress.is_compared:  # not every target was scored, and a trial that goes on is no candidate
            return False
        records = shown(self._records(), number, progress)
        ended = self._response.ended(records)
        if len(ended) < LEAST or not self._response.learned([records[number]]):
            return True
        model = self._response.model(records)
        if model.joins(number) >= self._likely:
            return True
        if any(point.headline >= target for point in records[number].scored):
            return False
        on_both = [record.scored[-1] for record in ended]
        easier = sum(point.prune_headline for point in on_both) / max(sum(point.headline for point in on_both), 1e-9)
        return model.reaches(number, target * easier) >= self._likely

    def overlooked(self) -> list[tuple[int, Progress]]:
        """Evaluations of ended trials that have `prune` alone, though as all stands now they may be on the front."""
        if self._where != "likely":
            return []
        records = self._records()
        lacking = {
            (record.number, point.cost): point
            for record in self._response.learned(records)
            for point in record.compared
            if record.state.finished and not point.has_headline
        }
        if not lacking or len(self._response.ended(records)) < LEAST:
            return []
        standings = self._response.model(records).standings()
        places = [(each.trial, each.cost) for each in standings if each.probability >= self._likely]
        return [(place[0], lacking[place]) for place in places if place in lacking]
