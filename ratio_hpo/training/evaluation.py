"""Scoring a model on the `prune` and `select` splits of every target language, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.tasks import Task
from ratio_hpo.data.windows import WindowSet, WindowSettings, open_windows
from ratio_hpo.metrics import mlqa, squad

if TYPE_CHECKING:
    from ratio_hpo.training.engine import Engine

SCORERS: dict[str, Callable[[str, Sequence[str], str], squad.Score]] = {"squad": squad.score, "mlqa": mlqa.score}

PREFIXES = {"select": "", "prune": "prune/", "test": "test/"}
"""What scores of a split are called: `f1/sw` is on `select`, `prune/f1/sw` on `prune`."""


class Evaluation:
    """What trials are scored on.

    Args:
        folders: window set of each language and split; languages are those of the mean, in its order.
        metric: `squad` or `mlqa`.
    """

    def __init__(
        self,
        folders: Mapping[str, Mapping[str, str]],
        task: Task,
        settings: WindowSettings,
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

    def score(self, engine: Engine) -> dict[str, float]:
        """`f1/<lang>`, `em/<lang>`, their means and `f1/worst`, with the prefix of each split; all in [0, 1]."""
        outputs = engine.infer([windows for _, _, windows in self._parts])
        scores: dict[str, float] = {}
        for (language, split, windows), raw in zip(self._parts, outputs, strict=True):
            f1, exact = self.score_set(language, windows, raw)
            scores[f"{PREFIXES[split]}f1/{language}"] = f1
            scores[f"{PREFIXES[split]}em/{language}"] = exact
        for prefix in {PREFIXES[split] for _, split, _ in self._parts}:
            for measure in ("f1", "em"):
                values = [scores[f"{prefix}{measure}/{language}"] for language in self.languages]
                scores[f"{prefix}{measure}/mean"] = sum(values) / len(values)
                if measure == "f1":
                    scores[f"{prefix}f1/worst"] = min(values)
        return scores

    def score_set(self, language: str, windows: WindowSet, raw: Mapping[int, Any]) -> squad.Score:
        """Mean F1 and exact match of one window set."""
        predictions = self.task.predict(windows, raw, self.settings)
        golds = dict(zip(windows.question_ids, windows.gold.to_pylist(), strict=True))
        return squad.mean_scores(predictions, golds, language, SCORERS[self.metric])
