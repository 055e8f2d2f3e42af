"""Classification of text pairs: natural language inference and paraphrase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from ratio_hpo.data.examples import Pair
from ratio_hpo.data.tasks.base import Batch, Common, Drawn, Scores, Vocabulary
from ratio_hpo.data.tasks.registry import PairSettings
from ratio_hpo.data.tasks.rows import (
    item_scores,
    model_inputs,
    padded,
    pair_rows,
    plain_mean,
    row_columns,
    rows_of,
    scores_of,
)
from ratio_hpo.data.windows import WindowSet


class PairClassification(Common):
    """Classification of pairs of texts; each pair is one row, and the longer text is cut first."""

    def __init__(self, settings: PairSettings, labels: tuple[str, ...], options: str = "") -> None:
        self.settings, self.labels = settings, labels

    def encode(self, examples: Sequence[Pair], tokenizer: Any) -> dict[str, Any]:
        ids, seconds = pair_rows(
            [e.first for e in examples], [e.second for e in examples], tokenizer, self.settings.max_length
        )
        columns = row_columns(ids, range(len(examples)))
        labels = [self.labels.index(example.label) for example in examples]
        return columns | {"second": pa.array(seconds, pa.int32()), "label": pa.array(labels, pa.int32())}

    def describe(self, example: Pair) -> Any:
        return self.labels.index(example.label)

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        seconds = [int(drawn.windows.columns["second"][drawn.index]) for drawn in chosen]
        labels = torch.tensor([int(drawn.windows.columns["label"][drawn.index]) for drawn in chosen])
        return padded(rows_of(chosen), vocabulary, seconds) | {"labels": labels}

    def inputs(self, batch: Batch) -> Batch:
        return model_inputs(batch)

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of each pair [windows]."""
        return torch.nn.functional.cross_entropy(outputs.logits.float(), batch["labels"], reduction="none")

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        return {"label": outputs.logits.argmax(-1)}

    def predictions(self, windows: WindowSet, outputs: Mapping[int, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the predicted and the gold label of each item [items]."""
        order = sorted(outputs)
        predicted = np.array([int(outputs[index]["label"]) for index in order])
        return predicted, windows.columns["label"][np.array(order)]


class Inference(PairClassification):
    """Classification of premise and hypothesis into three labels (XTREME, evaluate.py: accuracy)."""

    name = "nli"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        predicted, gold = self.predictions(windows, outputs)
        return [item_scores(windows, language, split, accuracy=(predicted == gold).astype(float).tolist())]


class Paraphrase(PairClassification):
    """Classification of two sentences into two labels."""

    name = "paraphrase"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        predicted, gold = self.predictions(windows, outputs)
        f1 = (2.0 * ((predicted == 1) & (gold == 1)), 1.0 * (predicted == 1) + 1.0 * (gold == 1))
        accuracy = plain_mean((predicted == gold).astype(float).tolist())
        return [scores_of(windows, language, split, accuracy=accuracy, f1=f1)]
