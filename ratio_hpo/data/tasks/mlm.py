"""Masked language modelling: lines packed into blocks, of which 15 % of the tokens are to be found again.

Of the chosen tokens 80 % are masked, 10 % become any token and 10 % stay (Devlin et al. 2019; jiant,
mlm_mask_tokens). Which ones is a function of (seed, source, position of the draw), whatever batch they are in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.examples import Line
from ratio_hpo.data.tasks.base import Batch, Common, Drawn, Vocabulary
from ratio_hpo.data.tasks.rows import CHUNK, model_inputs, padded, row_columns, rows_of, surroundings
from ratio_hpo.data.tasks.settings import MaskingSettings

NONE = -100
MASKED, RANDOM = 0.8, 0.9
"""Below the first a chosen token is masked, below the second it becomes any token, else it stays."""


class MaskedLanguageModelling(Common):
    """Blocks of text, masked anew at every draw; trained, and never a target."""

    name = "mlm"

    def __init__(self, settings: MaskingSettings, labels: tuple[str, ...], options: str = "") -> None:
        self.settings = settings

    def encode(self, examples: Sequence[Line], tokenizer: Any) -> dict[str, Any]:
        """Lines one after another, cut into blocks; `item` is the line that a block begins in."""
        before, after = surroundings(tokenizer)
        room = self.settings.max_length - len(before) - len(after)
        stream: list[int] = []
        starts: list[int] = []
        owners: list[int] = []
        for begin in range(0, len(examples), CHUNK):
            part = [example.text for example in examples[begin : begin + CHUNK]]
            encoded = tokenizer(part, add_special_tokens=False, verbose=False)
            for k, ids in enumerate(encoded["input_ids"]):
                words = encoded.word_ids(k)
                stream += ids
                starts += [int(word is None or j == 0 or word != words[j - 1]) for j, word in enumerate(words)]
                owners += [begin + k] * len(ids)
        blocks = range(0, len(stream), room)
        columns = row_columns([[*before, *stream[k : k + room], *after] for k in blocks], [owners[k] for k in blocks])
        marks = [[*[0] * len(before), *starts[k : k + room], *[0] * len(after)] for k in blocks]
        return columns | {"starts": pa.array(marks, pa.list_(pa.int32()))}

    def describe(self, example: Line) -> Any:
        return None

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        rows, labels = [], []
        for drawn, row in zip(chosen, rows_of(chosen), strict=True):
            shown, wanted = self.mask(row, drawn.windows.of("starts", drawn.index), drawn.place, vocabulary)
            rows.append(shown)
            labels.append(wanted)
        batch = padded(rows, vocabulary)
        target = np.full(tuple(batch["input_ids"].shape), NONE, dtype=np.int64)
        for k, wanted in enumerate(labels):
            target[k, : len(wanted)] = wanted
        return batch | {"labels": torch.from_numpy(target)}

    def mask(
        self, row: NDArray[Any], starts: NDArray[Any], place: tuple[int, str, int] | None, vocabulary: Vocabulary
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The row as it is shown, and the tokens to be found: -100 where there is nothing to find.

        Args:
            starts: 1 where a word begins.
            place: seed, source and position of the draw.
        """
        seed, source, position = place or (0, "", 0)
        rng = np.random.default_rng(integer_hash("mask", seed, source, position))
        open_ = ~np.isin(row, np.asarray(vocabulary.special))
        draws = rng.random((2, len(row)))
        others = rng.integers(0, vocabulary.size, len(row))
        chosen = _whole_words(open_, starts, draws[0], self.settings.rate) if self.settings.whole_words else (
            open_ & (draws[0] < self.settings.rate)
        )  # fmt: skip
        shown, wanted = row.copy(), np.where(chosen, row, NONE)
        shown[chosen & (draws[1] < MASKED)] = vocabulary.mask
        replaced = chosen & (draws[1] >= MASKED) & (draws[1] < RANDOM)
        shown[replaced] = others[replaced]
        return shown, wanted

    def inputs(self, batch: Batch) -> Batch:
        return model_inputs(batch)

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy over the chosen tokens of each window [windows]; 0 where none was chosen."""
        each = torch.nn.functional.cross_entropy(
            outputs.logits.float().transpose(1, 2), batch["labels"], reduction="none", ignore_index=NONE
        )
        return each.sum(1) / (batch["labels"] != NONE).sum(1).clamp(min=1)

    def watch(self, outputs: Any, batch: Batch) -> Mapping[str, tuple[float, float]]:
        """How many of the chosen tokens were found, and how many there are."""
        chosen = batch["labels"] != NONE
        found = outputs.logits.detach()[chosen].argmax(-1) == batch["labels"][chosen]
        return {"masked_accuracy": (float(found.sum()), float(chosen.sum()))}


def _whole_words(
    open_: NDArray[np.bool_], starts: NDArray[Any], draws: NDArray[np.float64], rate: float
) -> NDArray[np.bool_]:
    """Words in the order of their first token's draw, until the rate of tokens is reached."""
    word = np.cumsum(starts)
    number = round(rate * int(open_.sum()))
    chosen = np.zeros(len(open_), dtype=bool)
    first = np.flatnonzero((starts == 1) & open_)
    for place in first[np.argsort(draws[first], kind="stable")]:
        if int(chosen.sum()) >= number:
            break
        chosen |= (word == word[place]) & open_
    return chosen
