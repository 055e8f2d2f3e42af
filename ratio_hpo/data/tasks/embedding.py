"""Text vectors pooled from one layer of the encoder, shared by the retrieval tasks. Nothing is trained."""

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
"""Default layer as a fraction of the depth: XTREME uses the 14th block of XLM-R Large."""


class Embedding(Common):
    """Embedding of texts; each text is one window, and its vector is pooled from one layer."""

    def __init__(self, settings: RetrievalSettings, labels: tuple[str, ...], options: str = "") -> None:
        self.settings = settings

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        return padded(rows_of(chosen), vocabulary)

    def inputs(self, batch: Batch) -> Batch:
        return {**model_inputs(batch), "output_hidden_states": True}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        raise TypeError("this retrieval task cannot be trained; use it as a target that is scored on a layer")

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the vector of each text: the mean over its tokens, including special tokens, or the first token."""
        layers = outputs.hidden_states
        depth = len(layers) - 1
        layer = round(USUAL_LAYER * depth) if self.settings.layer is None else min(self.settings.layer, depth)
        hidden = layers[layer].float()
        if self.settings.pooling == "cls":
            return {"vector": hidden[:, 0]}
        mask = batch["attention_mask"].unsqueeze(-1).float()
        return {"vector": (hidden * mask).sum(1) / mask.sum(1)}


def vectors_of(windows: WindowSet, outputs: Mapping[int, Any]) -> NDArray[np.float32]:
    """Return the vector of each window [windows, d], in window order."""
    return np.stack([np.asarray(outputs[index]["vector"], dtype=np.float32) for index in range(len(windows))])
