"""Scores along a stage: the targets due at a step, earlier scores at that step, and stored item scores."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratio_hpo.core.files import unless_disk_is_full
from ratio_hpo.core.measures import NOTHING, PaidCost
from ratio_hpo.training.engine import Engine
from ratio_hpo.training.evaluation import Evaluation, Target
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.stage import Stage

Past = dict[str, Any]
"""An evaluation in the state of a checkpoint: step, labels of what was scored, scores, measures."""


@dataclass(frozen=True, slots=True)
class PlaceScores:
    """Result of scoring at a step: scores, the name of the stored item scores or None, and the cost."""

    scores: Mapping[str, float]
    items: str | None
    spent: PaidCost = NOTHING


class StageScores:
    """Scores the model of an engine along a stage."""

    def __init__(self, engine: Engine, evaluation: Evaluation, items: ItemStore) -> None:
        self._engine, self._evaluation, self._items = engine, evaluation, items

    def steps(self, stage: Stage, *, final: bool) -> dict[int, set[str]]:
        """Return the steps at which anything is scored, with labels: rungs, and the end if `final`."""
        labels = {step: labels_of(self.due(stage, step)) for step in sorted(stage.scored(final=final))}
        return {step: due for step, due in labels.items() if due}

    def due(self, stage: Stage, step: int) -> list[Target]:
        """Return the targets that are scored at a step of a stage."""
        end = step == stage.steps
        return self._evaluation.scored_at(stage.trained, stage=stage.name, end=end)

    def fingerprint(self, stage: Stage) -> str:
        """Return a fingerprint of everything that a stage is scored on, at rungs and at its end."""
        rungs, end = (self._evaluation.scored_at(stage.trained, stage=stage.name, end=end) for end in (False, True))
        return self._evaluation.fingerprint([*rungs, *(target for target in end if target not in rungs)])

    def only(self, past: Past, targets: Sequence[Target]) -> dict[str, float]:
        """Return the scores of some targets from an earlier evaluation."""
        return self._evaluation.only(past["scores"], targets)

    def kept(self, place: str, targets: Sequence[Target]) -> str | None:
        """Return the name of the item scores of an evaluation, or None if they are not stored.

        Args:
            place: name of the checkpoint.
            targets: scored targets.
        """
        name = self._name(place, targets)
        return name if self._items.has(name) else None

    def score(self, place: str, targets: Sequence[Target]) -> tuple[dict[str, float], PaidCost]:
        """Score the current model and store the item scores; return the scores and the cost."""
        start = time.monotonic()
        result = self._evaluation.score(self._engine, targets)
        spent = PaidCost(scored=result.windows, scoring_seconds=time.monotonic() - start)
        with unless_disk_is_full():
            self._items.write(self._name(place, targets), result.items)
        return result.scores, spent

    def _name(self, place: str, targets: Sequence[Target]) -> str:
        return f"{place}-{self._evaluation.fingerprint(targets)}"


def labels_of(targets: Iterable[Target]) -> set[str]:
    """Return the labels of everything that some targets are scored on."""
    return {label for target in targets for label in target.labels}


def past_at(evaluations: Sequence[Past], step: int, due: set[str]) -> Past | None:
    """Return the evaluation at a step if it covers all labels that are due, else None."""
    candidates = (past for past in evaluations if past["step"] == step)
    return next((past for past in candidates if due <= set(past["targets"])), None)


def with_scores(
    evaluations: Sequence[Past], step: int, targets: Sequence[Target], scores: Mapping[str, float], measures: Any
) -> list[Past]:
    """Return evaluations with new scores at a step merged into earlier scores at that step."""
    before = next((past for past in evaluations if past["step"] == step), None)
    labels, earlier_scores = (set(before["targets"]), before["scores"]) if before is not None else (set(), {})
    merged = {
        "step": step,
        "targets": sorted(labels | labels_of(targets)),
        "scores": {**earlier_scores, **scores},
        "measures": measures if before is None else before["measures"],
    }
    return sorted([*(past for past in evaluations if past["step"] != step), merged], key=lambda past: past["step"])
