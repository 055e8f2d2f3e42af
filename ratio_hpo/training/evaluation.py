"""Evaluation of a model on the targets of a study, in all languages in one pass.

Score keys are `<measure>/<language>` with one target, and `<target>/<measure>/<language>` with several. The primary
score, `score/…`, is the weighted mean over targets of the unweighted mean over languages of each target's primary
measure. It exists only if every target has been scored. `xtreme/mean` is XTREME's unweighted mean over tasks
(evaluate.py), in which question answering counts as the mean of F1 and EM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.core.measures import PRIMARY_SCORE, TEST, VALIDATION
from ratio_hpo.data.tasks import Scores, Task
from ratio_hpo.data.windows import WindowSet, open_windows
from ratio_hpo.metrics.convergence import ratio, standard_error
from ratio_hpo.training.engine import EvalSet
from ratio_hpo.training.items import TargetScores

PREFIXES = {VALIDATION: "", TEST: "test/"}
"""Prefix of score keys by split: `f1/sw` is measured on `validation`, `test/f1/sw` on `test`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An evaluation target: a task in some languages.

    Attributes:
        name: name of the target.
        task: task of the target.
        head: name of the head to score with; None: a layer of the encoder.
        primary: primary measure, whose mean is the target's score.
        languages: languages that the mean is taken over.
        folders: window set of each (language, split); a retrieval task has one set for all, under ("", "").
        settings: other settings that affect scores, for the fingerprint.
        weight: weight in the primary score.
        stage: target stage at whose rungs it is scored, in addition to the rungs of the intermediate stage if that
            trains its head; None: only the rungs of the intermediate stage.
        at_rungs: for a target without a stage, whether it is scored at every rung or only at the end of the stage.
        last: extra or replacement splits scored at the final step, such as `test` in a confirmation.
        is_last: whether `folders` already holds the splits of `last`.
    """

    name: str
    task: Task
    head: str | None
    primary: str
    languages: tuple[str, ...]
    folders: Mapping[tuple[str, str], str]
    settings: Any
    weight: float = 1.0
    stage: str | None = None
    at_rungs: bool = True
    last: Mapping[tuple[str, str], str] = field(default_factory=dict)
    is_last: bool = False

    def at_last(self) -> Target:
        """Return the target as it is scored at the final step."""
        return replace(self, folders={**self.folders, **self.last}, last={}, is_last=True) if self.last else self

    @property
    def labels(self) -> set[str]:
        """Labels of its splits in the list of what was scored at a step."""
        last = "+last" if self.is_last else ""
        return {f"{self.name}/{split}" if split else f"{self.name}{last}" for _, split in self.folders}

    def has(self, split: str) -> bool:
        """Return whether the target is scored on a split."""
        splits = {split for _, split in self.folders}
        return split in splits or ("" in splits and (split != TEST or self.is_last))


@dataclass(frozen=True, slots=True)
class Scored:
    """Result of an evaluation: scores by key, item scores, and the number of scored windows."""

    scores: dict[str, float]
    items: list[TargetScores]
    windows: int


class Infers(Protocol):
    """A model that returns reduced outputs of windows: the engine or a fake."""

    def infer(self, sets: Sequence[EvalSet]) -> list[dict[int, Any]]: ...


@dataclass
class Evaluation:
    """The evaluation of trials on all targets.

    Args:
        targets: targets in the order of the experiment.
    """

    targets: Sequence[Target]
    _opened: dict[str, WindowSet] = field(default_factory=dict)

    def windows(self, target: Target) -> list[WindowSet]:
        """Return the window sets of a target."""
        return [self._open(folder) for folder in target.folders.values()]

    def fingerprint(self, targets: Sequence[Target]) -> str:
        """Return a fingerprint of the data and settings that some targets are scored on."""
        return fingerprint(
            [
                [t.name, t.head, t.primary, list(t.languages), [[*key, self._open(f).folder.rpartition("/")[2]]
                 for key, f in t.folders.items()], t.settings]
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
        sets = [
            (target, key, EvalSet(self._open(folder), target.task, target.head))
            for target in targets
            for key, folder in target.folders.items()
        ]
        outputs = engine.infer([eval_set for _, _, eval_set in sets])
        items: list[TargetScores] = []
        for (target, (language, split), eval_set), raw in zip(sets, outputs, strict=True):
            items += [TargetScores(target.name, s) for s in target.task.score(eval_set.windows, raw, language, split)]
        scores: dict[str, float] = {}
        for target in targets:
            scores |= self._of_target(target, [part.scores for part in items if part.target == target.name])
        return Scored(scores, items, sum(len(eval_set.windows) for _, _, eval_set in sets))

    def with_primary_score(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Return scores with the primary score added, if every target has been scored."""
        extended = dict(scores)
        if len(self.targets) == 1:
            [target] = self.targets
            for prefix in PREFIXES.values():
                if f"{prefix}score/mean" in scores:
                    extended[f"{prefix}xtreme/mean"] = self._as_xtreme(scores, prefix, target)
            return extended
        weight = sum(target.weight for target in self.targets)
        for prefix in PREFIXES.values():
            means = [scores.get(f"{prefix}{target.name}/mean") for target in self.targets]
            if any(mean is None for mean in means):
                continue
            pairs = [(t.weight, mean) for t, mean in zip(self.targets, means, strict=True) if mean is not None]
            extended[f"{prefix}score/mean"] = sum(w * mean for w, mean in pairs) / weight
            by_language = {lang: self._of_language(scores, prefix, lang) for lang in self._languages()}
            extended |= {f"{prefix}score/{language}": value for language, value in by_language.items()}
            extended[f"{prefix}score/worst"] = min(by_language.values())
            tasks = [self._as_xtreme(scores, prefix, target) for target in self.targets]
            extended[f"{prefix}xtreme/mean"] = sum(tasks) / len(tasks)
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

    def _of_target(self, target: Target, parts: Sequence[Scores]) -> dict[str, float]:
        name = "" if len(self.targets) == 1 else f"{target.name}/"
        scores: dict[str, float] = {}
        for split in sorted({part.split for part in parts}):
            prefix = PREFIXES[split]
            by_language = {part.language: part for part in parts if part.split == split}
            chosen = [by_language[language] for language in target.languages]
            for measure in chosen[0].measures:
                values = {part.language: ratio(part.measures[measure]) for part in chosen}
                scores |= {f"{prefix}{name}{measure}/{language}": value for language, value in values.items()}
                scores[f"{prefix}{name}{measure}/mean"] = sum(values.values()) / len(values)
                scores[f"{prefix}{name}{measure}/worst"] = min(values.values())
                if measure != target.primary:
                    continue
                mean = sum(values.values()) / len(values)
                if name:
                    scores[f"{prefix}{name}mean"] = mean
                else:
                    scores |= {f"{prefix}score/{language}": value for language, value in values.items()}
                    scores |= {f"{prefix}score/mean": mean, f"{prefix}score/worst": min(values.values())}
                if split == VALIDATION:
                    sums = [part.measures[measure] for part in chosen]
                    scores[f"{name}score_error"] = standard_error(sums)
                    scores |= {
                        f"{name}score_error/{part.language}": standard_error([part.measures[measure]])
                        for part in chosen
                    }
        return scores

    def _as_xtreme(self, scores: Mapping[str, float], prefix: str, target: Target) -> float:
        """Return a target's score in XTREME's average over tasks: for question answering, the mean of F1 and EM."""
        measures = ("f1", "em") if target.task.name == "qa" else (target.primary,)
        name = "" if len(self.targets) == 1 else f"{target.name}/"
        return sum(scores[f"{prefix}{name}{measure}/mean"] for measure in measures) / len(measures)

    def _languages(self) -> list[str]:
        return list(dict.fromkeys(language for target in self.targets for language in target.languages))

    def _of_language(self, scores: Mapping[str, float], prefix: str, language: str) -> float:
        """Return the mean of the primary measures of the targets that include a language."""
        values = [
            scores[f"{prefix}{target.name}/{target.primary}/{language}"]
            for target in self.targets
            if language in target.languages
        ]
        return sum(values) / len(values)

    def _open(self, folder: str) -> WindowSet:
        if folder not in self._opened:
            self._opened[folder] = open_windows(folder)
        return self._opened[folder]


def _split_of(key: str) -> tuple[str, str]:
    """Return the split of a score, and its key without the prefix of the split."""
    candidates = ((split, key.removeprefix(prefix)) for split, prefix in PREFIXES.items() if prefix)
    return next(((split, plain) for split, plain in candidates if plain != key), (VALIDATION, key))
