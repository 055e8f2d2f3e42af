"""Scores along a stage: the targets due at a step, earlier scores at that step, and stored item scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratio_hpo.core.files import unless_disk_is_full
from ratio_hpo.core.measures import PaidCost
from ratio_hpo.training.checkpoint import Evaluated
from ratio_hpo.training.evaluation import Evaluation, Infers
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.spec import Target
from ratio_hpo.training.stage import Stage


@dataclass(frozen=True, slots=True)
class StepScores:
    """Result of scoring at a step: scores, the name of the stored item scores or None, and the cost."""

    scores: dict[str, float]
    items: str | None
    spent: PaidCost


class StageScores:
    """Scores the model of an engine along a stage.

    Args:
        engine: engine that holds the model.
        evaluation: targets that stages are scored on.
        items: store of item scores.
    """

    def __init__(self, engine: Infers, evaluation: Evaluation, items: ItemStore) -> None:
        self._engine, self._evaluation, self._items = engine, evaluation, items

    def steps(self, stage: Stage, *, final: bool) -> dict[int, set[str]]:
        """Return the steps at which anything is scored, with labels: rungs, and the end if `final`."""
        labels = {step: labels_of(self.due(stage, step)) for step in sorted(stage.scored(final=final))}
        return {step: due for step, due in labels.items() if due}

    def due(self, stage: Stage, step: int) -> list[Target]:
        """Return the targets that are scored at a step of a stage."""
        return self._evaluation.scored_at(stage.trained, stage=stage.name, end=step == stage.steps)

    def fingerprint(self, stage: Stage) -> str:
        """Return a fingerprint of everything that a stage is scored on, at rungs and at its end."""
        rungs, end = (self._evaluation.scored_at(stage.trained, stage=stage.name, end=end) for end in (False, True))
        return self._evaluation.fingerprint([*rungs, *(target for target in end if target not in rungs)])

    def only(self, past: Evaluated, targets: Sequence[Target]) -> dict[str, float]:
        """Return the scores of some targets from an earlier evaluation."""
        return self._evaluation.only(past.scores, targets)

    def stored_items(self, checkpoint: str, targets: Sequence[Target]) -> str | None:
        """Return the name of the item scores of targets at a checkpoint, or None if they are not stored."""
        name = f"{checkpoint}-{self._evaluation.fingerprint(targets)}"
        return name if self._items.has(name) else None

    def score(self, checkpoint: str, targets: Sequence[Target]) -> StepScores:
        """Score the current model, and store the item scores under the name of its checkpoint."""
        start = time.monotonic()
        result = self._evaluation.score(self._engine, targets)
        spent = PaidCost(scored=result.windows, scoring_seconds=time.monotonic() - start)
        with unless_disk_is_full():
            self._items.write(f"{checkpoint}-{self._evaluation.fingerprint(targets)}", result.items)
        return StepScores(result.scores, self.stored_items(checkpoint, targets), spent)


def labels_of(targets: Sequence[Target]) -> set[str]:
    """Return the labels of everything that some targets are scored on."""
    return {label for target in targets for label in target.labels}


def is_scored(evaluations: Sequence[Evaluated], step: int, due: set[str]) -> bool:
    """Return whether an evaluation at a step covers all labels that are due."""
    return any(past.step == step and due <= set(past.targets) for past in evaluations)


def with_scores(
    evaluations: Sequence[Evaluated],
    step: int,
    targets: Sequence[Target],
    scores: Mapping[str, float],
    measures: dict[str, float],
) -> list[Evaluated]:
    """Return evaluations with new scores at a step merged into earlier scores at that step."""
    empty = Evaluated(step=step, targets=[], scores={}, measures=measures)
    before = next((past for past in evaluations if past.step == step), empty)
    merged = Evaluated(
        step=step,
        targets=sorted({*before.targets, *labels_of(targets)}),
        scores={**before.scores, **scores},
        measures=before.measures,
    )
    return sorted([*(past for past in evaluations if past.step != step), merged], key=lambda past: past.step)
