"""Evaluation of a model on the targets of a study, in all languages in one pass.

Score keys are `<measure>/<language>` with one target, and `<target>/<measure>/<language>` with several. The primary
score, `score/…`, is the weighted mean over targets of the unweighted mean over languages of each target's primary
measure. It exists only if every target has been scored. `xtreme/mean` is XTREME's unweighted mean over tasks
(evaluate.py), in which question answering counts as the mean of F1 and EM.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ratio_hpo.core.errors import ScoreError
from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.core.measures import PRIMARY_SCORE, TEST, VALIDATION
from ratio_hpo.data.tasks import Scores, Task, kind_of_task
from ratio_hpo.data.windows import WindowSet, open_windows
from ratio_hpo.metrics.convergence import ratio, standard_error
from ratio_hpo.training.spec import Target

PREFIXES = {VALIDATION: "", TEST: "test/"}
"""Prefix of score keys by split: `f1/sw` is measured on `validation`, `test/f1/sw` on `test`."""


@dataclass(frozen=True, slots=True)
class TaskWindows:
    """A window set to train on or to score, with its task and head; without a head, it is scored on the encoder."""

    windows: WindowSet
    task: Task
    head: str | None


@dataclass(frozen=True, slots=True)
class Scored:
    """Result of an evaluation: scores by key, item scores by target, and the number of scored windows."""

    scores: dict[str, float]
    items: Mapping[str, Sequence[Scores]]
    windows: int


class Infers(Protocol):
    """A model that returns reduced outputs of windows: the engine or a fake."""

    def infer(self, sets: Sequence[TaskWindows]) -> list[dict[int, Any]]: ...


@dataclass
class Evaluation:
    """The evaluation of trials on all targets.

    Args:
        targets: targets in the order of the experiment.
    """

    targets: Sequence[Target]
    _opened: dict[str, WindowSet] = field(default_factory=dict)
    _tasks: dict[str, Task] = field(default_factory=dict)

    def windows(self, target: Target) -> list[TaskWindows]:
        """Return the window sets of a target."""
        if target.name not in self._tasks:
            self._tasks[target.name] = target.task.make(target.metric)
        task = self._tasks[target.name]
        return [TaskWindows(self.open(folder), task, target.head) for folder in target.folders.values()]

    def open(self, folder: str) -> WindowSet:
        """Return a window set, which is opened once."""
        if folder not in self._opened:
            self._opened[folder] = open_windows(folder)
        return self._opened[folder]

    def fingerprint(self, targets: Sequence[Target]) -> str:
        """Return a fingerprint of the data and settings that some targets are scored on."""
        return fingerprint(
            [
                [t.name, t.head, t.primary, list(t.languages), [[*key, self.open(f).folder.rpartition("/")[2]]
                 for key, f in t.folders.items()], [t.task.settings.model_dump(), t.metric]]
                for t in targets
            ]
        )  # fmt: skip

    def scored_at(self, trained: Sequence[str], *, stage: str, end: bool) -> list[Target]:
        """Return the targets that are scored at a rung of a stage.

        Args:
            trained: heads that the stage trains; scores of untrained heads would be noise.
            stage: name of the stage.
            end: whether the rung is the end of the stage.
        """
        if stage.startswith("target"):
            candidates = [(target, end) for target in self.targets if target.stage == stage]
        else:
            candidates = [
                (target, end and target.stage is None)
                for target in self.targets
                if (target.head in trained if target.head is not None else target.at_rungs or end)
            ]
        return [target.at_last() if last else target for target, last in candidates]

    def of_base(self) -> list[Target]:
        """Return the targets that the base model is scored on without training, in a trial without a stage for them."""
        return [target.at_last() for target in self.targets if target.head is None]

    def score(self, engine: Infers, targets: Sequence[Target]) -> Scored:
        """Score a model: measures by language, their means, and each target's mean, with each split's prefix."""
        sets = [(target, key, windows) for target in targets
                for key, windows in zip(target.folders, self.windows(target), strict=True)]  # fmt: skip
        outputs = engine.infer([windows for _, _, windows in sets])
        items: dict[str, list[Scores]] = {target.name: [] for target in targets}
        for (target, (language, split), scored), raw in zip(sets, outputs, strict=True):
            parts = scored.task.score(scored.windows, raw, language, split)
            for part in parts:
                _check(target, part)
            items[target.name] += parts
        scores: dict[str, float] = {}
        for target in targets:
            scores |= self._of_target(target, items[target.name])
        return Scored(scores, items, sum(len(scored.windows) for _, _, scored in sets))

    def with_primary_score(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Return scores with the primary score added, if every target has been scored."""
        extended = dict(scores)
        if len(self.targets) == 1:
            for prefix in PREFIXES.values():
                if f"{prefix}score/mean" in scores:
                    extended[f"{prefix}xtreme/mean"] = self._as_xtreme(scores, prefix, self.targets[0])
            return extended
        weight = sum(target.weight for target in self.targets)
        for prefix in PREFIXES.values():
            if any(f"{prefix}{target.name}/mean" not in scores for target in self.targets):
                continue
            weighted = [target.weight * scores[f"{prefix}{target.name}/mean"] for target in self.targets]
            extended[f"{prefix}score/mean"] = sum(weighted) / weight
            languages = dict.fromkeys(language for target in self.targets for language in target.languages)
            by_language = {language: self._of_language(scores, prefix, language) for language in languages}
            extended |= {f"{prefix}score/{language}": value for language, value in by_language.items()}
            extended[f"{prefix}score/worst"] = min(by_language.values())
            tasks = [self._as_xtreme(scores, prefix, target) for target in self.targets]
            extended[f"{prefix}xtreme/mean"] = _mean(tasks)
        if PRIMARY_SCORE in extended:
            errors = [(t.weight / weight) * scores.get(f"{t.name}/score_error", 0.0) for t in self.targets]
            extended["score_error"] = math.sqrt(sum(error**2 for error in errors))
        return extended

    def only(self, scores: Mapping[str, float], targets: Sequence[Target]) -> dict[str, float]:
        """Return the scores of some targets, since a stage is scored on more targets at its end than at rungs."""
        is_single, by_name = len(self.targets) == 1, {target.name: target for target in targets}
        selected = {}
        for key, value in scores.items():
            split, plain = _split_of(key)
            target = next(iter(by_name.values()), None) if is_single else by_name.get(plain.partition("/")[0])
            if target is not None and target.has(split):
                selected[key] = value
        return selected

    def _name(self, target: Target) -> str:
        """Return the prefix of a target's score keys."""
        return "" if len(self.targets) == 1 else f"{target.name}/"

    def _of_target(self, target: Target, parts: Sequence[Scores]) -> dict[str, float]:
        name = self._name(target)
        scores: dict[str, float] = {}
        for split in sorted({part.split for part in parts}):
            prefix = PREFIXES[split]
            by_language = {part.language: part for part in parts if part.split == split}
            chosen = [by_language[language] for language in target.languages]
            for measure in chosen[0].measures:
                values = {part.language: ratio(part.measures[measure]) for part in chosen}
                scores |= _with_mean(f"{prefix}{name}{measure}", values)
                if measure != target.primary:
                    continue
                if name:
                    scores[f"{prefix}{name}mean"] = _mean(values.values())
                else:
                    scores |= _with_mean(f"{prefix}score", values)
                if split == VALIDATION:
                    sums = {part.language: part.measures[measure] for part in chosen}
                    scores[f"{name}score_error"] = standard_error(list(sums.values()))
                    for language, of_language in sums.items():
                        scores[f"{name}score_error/{language}"] = standard_error([of_language])
        return scores

    def _as_xtreme(self, scores: Mapping[str, float], prefix: str, target: Target) -> float:
        """Return a target's score in XTREME's average over tasks: for question answering, the mean of F1 and EM."""
        measures = ("f1", "em") if target.task.task == "qa" else (target.primary,)
        return _mean([scores[f"{prefix}{self._name(target)}{measure}/mean"] for measure in measures])

    def _of_language(self, scores: Mapping[str, float], prefix: str, language: str) -> float:
        """Return the mean of the primary measures of the targets that include a language."""
        targets = [target for target in self.targets if language in target.languages]
        return _mean([scores[f"{prefix}{target.name}/{target.primary}/{language}"] for target in targets])


def _check(target: Target, scores: Scores) -> None:
    """Check that a task has returned the measures that it declares, and that they lie in [0, 1].

    Raises:
        ScoreError: It has not.
    """
    where = f"target {target.name}: task {target.task.task}"
    for name in kind_of_task(target.task.task).measures:
        if name not in scores.measures:
            raise ScoreError(f"{where} returned no measure {name}, which it declares; return it")
        value = ratio(scores.measures[name])
        if not 0.0 <= value <= 1.0:
            raise ScoreError(f"{where} returned {name} = {value:.4g} in {scores.language}, but measures are in [0, 1]")


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)


def _with_mean(key: str, values: Mapping[str, float]) -> dict[str, float]:
    """Return the values of a measure by score key, with their mean and the worst one."""
    scores = {f"{key}/{language}": value for language, value in values.items()}
    return {**scores, f"{key}/mean": _mean(values.values()), f"{key}/worst": min(values.values())}


def _split_of(key: str) -> tuple[str, str]:
    """Return the split of a score, and its key without the prefix of the split."""
    candidates = ((split, key.removeprefix(prefix)) for split, prefix in PREFIXES.items() if prefix)
    return next(((split, plain) for split, plain in candidates if plain != key), (VALIDATION, key))
