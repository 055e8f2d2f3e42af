"""Scoring a model on the `prune` and `select` splits of every target language, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.tasks import Task
from ratio_hpo.data.windows import WindowSet, WindowSpec, open_windows
from ratio_hpo.metrics import mlqa, squad
from ratio_hpo.training.items import ItemScores

SCORERS: dict[str, Callable[[str, Sequence[str], str], squad.Score]] = {"squad": squad.score, "mlqa": mlqa.score}

PREFIXES = {"select": "", "prune": "prune/", "test": "test/"}
"""What scores of a split are called: `f1/sw` is on `select`, `prune/f1/sw` on `prune`."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What an evaluation came to: scores by key, and the items that they are made of."""

    scores: dict[str, float]
    items: list[ItemScores]


class Infers(Protocol):
    """A model that gives the outputs of windows: the engine, or a fake."""

    def infer(self, sets: Sequence[WindowSet]) -> list[dict[int, Any]]: ...


class Evaluation:
    """What trials are scored on.

    Args:
        folders: window set of each language and split; languages are those of the mean, in its order.
        metric: `squad` or `mlqa`.
    """

    task: Task
    settings: WindowSpec
    metric: str
    languages: list[str]
    fingerprint: str

    def __init__(
        self,
        folders: Mapping[str, Mapping[str, str]],
        task: Task,
        settings: WindowSpec,
        metric: str,
    ) -> None:
        self.task, self.settings, self.metric = task, settings, metric
        self.languages = list(folders)
        self._parts = [
            (language, split, open_windows(folder))
            for language, splits in folders.items()
            for split, folder in splits.items()
        ]
        names = [[language, split, windows.folder.rsplit("/", 1)[-1]] for language, split, windows in self._parts]
        self.fingerprint = fingerprint([names, metric, settings.max_answer])

    @property
    def parts(self) -> list[WindowSet]:
        """The window set of each language and split."""
        return [windows for _, _, windows in self._parts]

    def score(self, engine: Infers) -> Scored:
        """`f1/<lang>`, `em/<lang>`, their means and `f1/worst`, with the prefix of each split, and `score_error`."""
        outputs = engine.infer(self.parts)
        scores: dict[str, float] = {}
        selected, items = [], []
        for (language, split, windows), raw in zip(self._parts, outputs, strict=True):
            by_question = self.score_set(language, windows, raw)
            f1, exact = squad.mean_scores(by_question)
            scores[f"{PREFIXES[split]}f1/{language}"] = f1
            scores[f"{PREFIXES[split]}em/{language}"] = exact
            if split == "select":
                selected.append(by_question)
            items.append(
                ItemScores(
                    language=language,
                    split=split,
                    ids=windows.question_ids,
                    groups=windows.groups,
                    f1=[score[0] for score in by_question],
                    em=[score[1] for score in by_question],
                )
            )
        for prefix in {PREFIXES[split] for _, split, _ in self._parts}:
            for measure in ("f1", "em"):
                values = [scores[f"{prefix}{measure}/{language}"] for language in self.languages]
                scores[f"{prefix}{measure}/mean"] = sum(values) / len(values)
                if measure == "f1":
                    scores[f"{prefix}f1/worst"] = min(values)
        if selected:
            scores["score_error"] = squad.standard_error(selected)
        return Scored(scores, items)

    def score_set(self, language: str, windows: WindowSet, raw: Mapping[int, Any]) -> list[squad.Score]:
        """F1 and exact match of each question of one window set."""
        predictions = self.task.predict(windows, raw, self.settings)
        return squad.question_scores(predictions, windows.gold.to_pylist(), language, SCORERS[self.metric])
