"""Scores along a stage: what is due at a step, what was scored there before, and the items that are kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratio_hpo.core.cost import NOTHING, PaidCost
from ratio_hpo.core.files import unless_disk_is_full
from ratio_hpo.training.engine import Engine
from ratio_hpo.training.evaluation import Evaluation, Target
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.stage import Stage

Past = dict[str, Any]
"""An evaluation, as the state of a checkpoint holds it: step, labels of what was scored, scores, measures."""


@dataclass(frozen=True, slots=True)
class PlaceScores:
    """What was scored at a place: scores, the name of the items where they are kept, and what it took."""

    scores: Mapping[str, float]
    items: str | None
    spent: PaidCost = NOTHING


class StageScores:
    """Scores the model that an engine holds."""

    def __init__(self, engine: Engine, evaluation: Evaluation, items: ItemStore) -> None:
        self._engine, self._evaluation, self._items = engine, evaluation, items

    def steps(self, stage: Stage, *, final: bool) -> dict[int, set[str]]:
        """Steps at which anything is scored, with its labels: rungs, and the end of a stage that is the last of its
        line."""
        labels = {step: labels_of(self.due(stage, step)) for step in sorted(stage.scored(final=final))}
        return {step: due for step, due in labels.items() if due}

    def due(self, stage: Stage, step: int) -> list[Target]:
        """What is scored when a stage gets to a step."""
        end = step == stage.steps
        return self._evaluation.scored_at(stage.trained, stage=stage.name, end=end)

    def fingerprint(self, stage: Stage) -> str:
        """A name of all that a stage is scored on, on its rungs and at its end."""
        rungs, end = (self._evaluation.scored_at(stage.trained, stage=stage.name, end=end) for end in (False, True))
        return self._evaluation.fingerprint([*rungs, *(target for target in end if target not in rungs)])

    def only(self, past: Past, targets: Sequence[Target]) -> dict[str, float]:
        """Of what was scored, the scores of some targets."""
        return self._evaluation.only(past["scores"], targets)

    def kept(self, place: str, targets: Sequence[Target]) -> str | None:
        """The name of the items of an evaluation, where they are kept.

        Args:
            place: name of the checkpoint.
        """
        name = self._name(place, targets)
        return name if self._items.has(name) else None

    def score(self, place: str, targets: Sequence[Target]) -> tuple[dict[str, float], PaidCost]:
        """Score the model as it is, and keep the items; returns the scores, and what it took."""
        began = time.monotonic()
        result = self._evaluation.score(self._engine, targets)
        spent, name = (
            PaidCost(scored=result.windows, scoring_seconds=time.monotonic() - began),
            self._name(place, targets),
        )
        with unless_disk_is_full():
            self._items.write(name, result.items)
        return result.scores, spent

    def _name(self, place: str, targets: Sequence[Target]) -> str:
        return f"{place}-{self._evaluation.fingerprint(targets)}"


def labels_of(targets: Iterable[Target]) -> set[str]:
    """What is scored of some targets."""
    return {label for target in targets for label in target.labels}


def past_at(evaluations: Sequence[Past], step: int, due: set[str]) -> Past | None:
    """The evaluation at a step, where all that is due was scored there."""
    found = (past for past in evaluations if past["step"] == step)
    return next((past for past in found if due <= set(past["targets"])), None)


def with_scores(
    evaluations: Sequence[Past], step: int, targets: Sequence[Target], scores: Mapping[str, float], measures: Any
) -> list[Past]:
    """Evaluations with what was scored at a step beside what had been scored there."""
    before = next((past for past in evaluations if past["step"] == step), None)
    labels, known = (set(before["targets"]), before["scores"]) if before is not None else (set(), {})
    now = {
        "step": step,
        "targets": sorted(labels | labels_of(targets)),
        "scores": {**known, **scores},
        "measures": measures if before is None else before["measures"],
    }
    return sorted([*(past for past in evaluations if past["step"] != step), now], key=lambda past: past["step"])
