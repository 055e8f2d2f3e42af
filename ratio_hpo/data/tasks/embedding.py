"""Texts as vectors of a layer of the encoder: what the retrieval tasks share. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ratio_hpo.data.tasks.base import Batch, Common, Drawn, Vocabulary
from ratio_hpo.data.tasks.rows import model_inputs, padded, rows_of
from ratio_hpo.data.tasks.settings import RetrievalSettings
from ratio_hpo.data.windows import WindowSet

USUAL_LAYER = 14 / 24
"""Of the depth: the 14th block of XLM-R Large, which XTREME takes."""


class Embedding(Common):
    """A window a text; its vector is pooled from one layer."""

    def __init__(self, settings: RetrievalSettings, labels: tuple[str, ...], options: str = "") -> None:
        self.settings = settings

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        return padded(rows_of(chosen), vocabulary)

    def inputs(self, batch: Batch) -> Batch:
        return {**model_inputs(batch), "output_hidden_states": True}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        raise TypeError("a retrieval set is scored on a layer, and not trained")

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """The vector of each text: the mean over all its tokens, special ones included, or its first one."""
        layers = outputs.hidden_states
        depth = len(layers) - 1
        layer = round(USUAL_LAYER * depth) if self.settings.layer is None else min(self.settings.layer, depth)
        hidden = layers[layer].float()
        if self.settings.pooling == "cls":
            return {"vector": hidden[:, 0]}
        mask = batch["attention_mask"].unsqueeze(-1).float()
        return {"vector": (hidden * mask).sum(1) / mask.sum(1)}


def vectors_of(windows: WindowSet, outputs: Mapping[int, Any]) -> NDArray[np.float32]:
    """The vector of each window [windows, d], in their order."""
    return np.stack([np.asarray(outputs[index]["vector"], dtype=np.float32) for index in range(len(windows))])
