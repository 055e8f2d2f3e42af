"""Classification of text pairs: natural language inference and paraphrase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Pair
from ratio_hpo.data.tasks import rows
from ratio_hpo.data.tasks.base import Batch, Drawn, Measures, Outputs, Scores, Task, TaskKind, TaskSettings, Vocabulary
from ratio_hpo.data.windows import Columns, WindowSet

if TYPE_CHECKING:
    import torch

CLASSIFIER = "AutoModelForSequenceClassification"

Labels = NDArray[np.signedinteger[Any]]
"""Index of the label of each item [items]."""


class PairSettings(TaskSettings):
    """Settings of inference and paraphrase. The longer text of a pair is cut first."""


class Classification(Task):
    """Base of tasks that predict one label, or one alternative, for each window: `reduce` returns it as `label`."""

    def score(self, windows: WindowSet, outputs: Outputs, language: str, split: str) -> list[Scores]:
        order = sorted(outputs)
        predicted = np.array([int(outputs[index]["label"]) for index in order])
        measures = self.measures(predicted, windows.columns["label"][np.array(order)])
        return [rows.scores_of(windows, language, split, measures)]

    def measures(self, predicted: Labels, gold: Labels) -> Measures:
        """Return the item scores by measure, from the indices of the predicted and the gold labels [items]."""
        return {"accuracy": rows.plain_mean(predicted == gold)}


class PairClassification(Classification):
    """Classification of pairs of texts; each pair is one row, and the longer text is cut first."""

    examples = Pair

    @classmethod
    def labels_of(cls, examples: Sequence[Pair]) -> tuple[str, ...]:
        return tuple(sorted({example.label for example in examples}))

    def encode(self, examples: Sequence[Pair], tokenizer: Any) -> Columns:
        ids, seconds = rows.pair_rows(
            [e.first for e in examples], [e.second for e in examples], tokenizer, self.settings.max_length
        )
        labels = [self._index(example) for example in examples]
        columns = rows.columns(ids, range(len(examples)))
        return columns | {"second": rows.integers(seconds), "label": rows.integers(labels)}

    def describe(self, example: Pair) -> int:
        return self._index(example)

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        batch = rows.padded(rows.tokens_of(chosen), vocabulary, rows.integers_of(chosen, "second"))
        return batch | {"labels": rows.label_tensor(rows.integers_of(chosen, "label"))}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of each pair [windows]."""
        return rows.cross_entropy(outputs.logits.float(), batch["labels"])

    def reduce(self, outputs: Any, batch: Batch) -> Batch:
        return {"label": outputs.logits.argmax(-1)}

    def _index(self, example: Pair) -> int:
        if example.label not in self.labels:
            raise DataError(
                f"task {self.name}: example {example.id} has the label {example.label!r}, which is none of "
                f"{', '.join(self.labels)}; correct it, or the labels of the task"
            )
        return self.labels.index(example.label)


class Paraphrase(PairClassification):
    """Classification of two sentences into two labels."""

    def measures(self, predicted: Labels, gold: Labels) -> Measures:
        f1 = (2.0 * ((predicted == 1) & (gold == 1)), 1.0 * (predicted == 1) + 1.0 * (gold == 1))
        return {**super().measures(predicted, gold), "f1": f1}


NLI = TaskKind(
    implementation=PairClassification,
    settings=PairSettings,
    auto_class=CLASSIFIER,
    labels=("entailment", "neutral", "contradiction"),
)
"""Classification of premise and hypothesis into three labels (XTREME, evaluate.py: accuracy)."""

PARAPHRASE = TaskKind(
    implementation=Paraphrase,
    settings=PairSettings,
    measures=("accuracy", "f1"),
    auto_class=CLASSIFIER,
    labels=("0", "1"),
)
