"""Scoring a model on the targets of a study: in every language, in one pass.

With one target scores are called `<measure>/<language>`; with several, `<target>/<measure>/<language>`. The primary score,
`score/…`, is the weighted mean over targets of the unweighted mean over languages of each one's primary measure; it
stands where every target has been scored, and beside it `xtreme/mean`, the unweighted mean over tasks of XTREME
(evaluate.py), where question answering counts as the mean of F1 and EM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.core.scores import PRIMARY_SCORE, TEST, VALIDATION
from ratio_hpo.data.tasks import Scores, Task
from ratio_hpo.data.windows import WindowSet, open_windows
from ratio_hpo.metrics.ratio import ratio, standard_error
from ratio_hpo.training.engine import EvalSet
from ratio_hpo.training.items import TargetScores

PREFIXES = {VALIDATION: "", TEST: "test/"}
"""What scores of a split are called: `f1/sw` is on `validation`, `test/f1/sw` on `test`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What trials are scored on: a task in some languages.

    Attributes:
        head: that it is scored with; None: a layer of the encoder.
        primary: the measure of its mean.
        folders: window set of each (language, split); a retrieval set has one for all, under ("", "").
        last: those that the end of its line is scored on beside, or in the place of, these: `test` of a confirmation.
        settings: what else shapes its scores, for the fingerprint.
        stage: whose rungs it is scored at, beside those of the intermediate stage that trains its head; None: those of
            the intermediate stage alone.
        at_rungs: without a stage, whether it is scored at every rung, or at the stage's end alone.
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
        """The target as it is scored at the end of its line."""
        return replace(self, folders={**self.folders, **self.last}, last={}, is_last=True) if self.last else self

    @property
    def labels(self) -> set[str]:
        """What its splits are called among what was scored at a step."""
        last = "+last" if self.is_last else ""
        return {f"{self.name}/{split}" if split else f"{self.name}{last}" for _, split in self.folders}

    def has(self, split: str) -> bool:
        """Whether it is scored on a split."""
        splits = {split for _, split in self.folders}
        return split in splits or ("" in splits and (split != TEST or self.is_last))


@dataclass(frozen=True, slots=True)
class Scored:
    """What an evaluation came to: scores by key, the items, and how many windows were scored."""

    scores: dict[str, float]
    items: list[TargetScores]
    windows: int


class Infers(Protocol):
    """A model that gives what was reduced of windows: the engine, or a fake."""

    def infer(self, sets: Sequence[EvalSet]) -> list[dict[int, Any]]: ...


@dataclass
class Evaluation:
    """What trials are scored on.

    Args:
        targets: in the order of the experiment.
    """

    targets: Sequence[Target]
    _opened: dict[str, WindowSet] = field(default_factory=dict)

    def windows(self, target: Target) -> list[WindowSet]:
        """The window sets of a target."""
        return [self._open(folder) for folder in target.folders.values()]

    def fingerprint(self, targets: Sequence[Target]) -> str:
        """A name of what some targets are scored on."""
        return fingerprint(
            [
                [t.name, t.head, t.primary, list(t.languages), [[*key, self._open(f).folder.rpartition("/")[2]]
                 for key, f in t.folders.items()], t.settings]
                for t in targets
            ]
        )  # fmt: skip

    def scored_at(self, trained: Sequence[str], *, stage: str, end: bool) -> list[Target]:
        """The targets that are scored at a rung of a stage.

        Args:
            trained: the heads that the stage trains: on the others nothing but noise would be scored.
            end: whether it is the stage's end.
        """
        if stage.startswith("target"):
            found = [(target, end) for target in self.targets if target.stage == stage]
        else:
            found = [
                (target, end and target.stage is None)
                for target in self.targets
                if (target.head in trained if target.head is not None else target.at_rungs or end)
            ]
        return [target.at_last() if last else target for target, last in found]

    def of_base(self) -> list[Target]:
        """The targets that the base is scored on as it is: where a trial has no stage for them."""
        return [target.at_last() for target in self.targets if target.head is None]

    def score(self, engine: Infers, targets: Sequence[Target]) -> Scored:
        """Measures of each language, their means, and each target's mean, with the prefix of each split."""
        sets = [
            (target, key, EvalSet(self._open(folder), target.task, target.head))
            for target in targets
            for key, folder in target.folders.items()
        ]
        outputs = engine.infer([one for _, _, one in sets])
        items: list[TargetScores] = []
        for (target, (language, split), one), raw in zip(sets, outputs, strict=True):
            items += [TargetScores(target.name, s) for s in target.task.score(one.windows, raw, language, split)]
        scores: dict[str, float] = {}
        for target in targets:
            scores |= self._of_target(target, [part.scores for part in items if part.target == target.name])
        return Scored(scores, items, sum(len(one.windows) for _, _, one in sets))

    def with_primary_score(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Scores with the primary score among them, where every target has been scored."""
        whole = dict(scores)
        if len(self.targets) == 1:
            [target] = self.targets
            for prefix in PREFIXES.values():
                if f"{prefix}score/mean" in scores:
                    whole[f"{prefix}xtreme/mean"] = self._as_xtreme(scores, prefix, target)
            return whole
        weight = sum(target.weight for target in self.targets)
        for prefix in PREFIXES.values():
            means = [scores.get(f"{prefix}{target.name}/mean") for target in self.targets]
            if any(mean is None for mean in means):
                continue
            pairs = [(t.weight, mean) for t, mean in zip(self.targets, means, strict=True) if mean is not None]
            whole[f"{prefix}score/mean"] = sum(w * mean for w, mean in pairs) / weight
            each = {lang: self._of_language(scores, prefix, lang) for lang in self._languages()}
            whole |= {f"{prefix}score/{language}": value for language, value in each.items()}
            whole[f"{prefix}score/worst"] = min(each.values())
            tasks = [self._as_xtreme(scores, prefix, target) for target in self.targets]
            whole[f"{prefix}xtreme/mean"] = sum(tasks) / len(tasks)
        if PRIMARY_SCORE in whole:
            errors = [(t.weight / weight) * scores.get(f"{t.name}/score_error", 0.0) for t in self.targets]
            whole["score_error"] = math.sqrt(sum(error**2 for error in errors))
        return whole

    def only(self, scores: Mapping[str, float], targets: Sequence[Target]) -> dict[str, float]:
        """The scores of some targets: a stage that ended here was scored on more than one that passed through."""
        alone, known = len(self.targets) == 1, {target.name: target for target in targets}
        found = {}
        for key, value in scores.items():
            split, plain = _parted(key)
            target = next(iter(known.values()), None) if alone else known.get(plain.partition("/")[0])
            if target is not None and target.has(split):
                found[key] = value
        return found

    def _of_target(self, target: Target, parts: Sequence[Scores]) -> dict[str, float]:
        name = "" if len(self.targets) == 1 else f"{target.name}/"
        scores: dict[str, float] = {}
        for split in sorted({part.split for part in parts}):
            prefix = PREFIXES[split]
            held = {part.language: part for part in parts if part.split == split}
            chosen = [held[language] for language in target.languages]
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
        """A target's mean as XTREME's average over tasks takes it: of question answering that of F1 and EM."""
        measures = ("f1", "em") if target.task.name == "qa" else (target.primary,)
        name = "" if len(self.targets) == 1 else f"{target.name}/"
        return sum(scores[f"{prefix}{name}{measure}/mean"] for measure in measures) / len(measures)

    def _languages(self) -> list[str]:
        return list(dict.fromkeys(language for target in self.targets for language in target.languages))

    def _of_language(self, scores: Mapping[str, float], prefix: str, language: str) -> float:
        """The mean of the primary measures of the targets that have a language."""
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


def _parted(key: str) -> tuple[str, str]:
    """The split of a score, and its key without the prefix of the split."""
    found = ((split, key.removeprefix(prefix)) for split, prefix in PREFIXES.items() if prefix)
    return next(((split, plain) for split, plain in found if plain != key), (VALIDATION, key))
