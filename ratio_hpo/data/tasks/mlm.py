"""Masked language modelling: lines are packed into blocks, and 15 % of the tokens are predicted.

Of the chosen tokens, 80 % are masked, 10 % are replaced by a random token and 10 % stay (Devlin et al. 2019; jiant,
mlm_mask_tokens). The choice is a function of (seed, source, position of the draw) and does not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.yaml import Real
from ratio_hpo.data.examples import Line
from ratio_hpo.data.tasks import rows
from ratio_hpo.data.tasks.base import Batch, Drawn, Task, TaskKind, TaskSettings, Vocabulary
from ratio_hpo.data.windows import Columns

if TYPE_CHECKING:
    import torch

MASKED, RANDOM = 0.8, 0.9
"""A chosen token is masked if its draw is below the first, randomly replaced if below the second, else kept."""


class MaskingSettings(TaskSettings):
    """Settings of masked language modelling. Lines are packed into blocks."""

    rate: Real = Field(default=0.15, gt=0, lt=1)
    """Fraction of the non-special tokens that are chosen for prediction (Devlin et al. 2019)."""

    whole_words: bool = False
    """Whether to choose all tokens of a word together."""


class MaskedLanguageModelling(Task):
    """Masked language modelling on blocks that are masked anew at every draw; for training only, never a target."""

    examples = Line

    def encode(self, examples: Sequence[Line], tokenizer: Any) -> Columns:
        """Concatenate the lines and cut them into blocks; `item` is the line in which a block begins."""
        before, after = rows.surroundings(tokenizer)
        room = self.settings.max_length - len(before) - len(after)
        stream: list[int] = []
        starts: list[int] = []
        owners: list[int] = []
        for begin in range(0, len(examples), rows.CHUNK):
            part = [example.text for example in examples[begin : begin + rows.CHUNK]]
            encoded = tokenizer(part, add_special_tokens=False, verbose=False)
            for k, ids in enumerate(encoded["input_ids"]):
                words = encoded.word_ids(k)
                stream += ids
                starts += [int(word is None or j == 0 or word != words[j - 1]) for j, word in enumerate(words)]
                owners += [begin + k] * len(ids)
        blocks = range(0, len(stream), room)
        columns = rows.columns([[*before, *stream[k : k + room], *after] for k in blocks], [owners[k] for k in blocks])
        return columns | {"starts": [[*[0] * len(before), *starts[k : k + room], *[0] * len(after)] for k in blocks]}

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        masked_rows, labels = [], []
        for drawn, row in zip(chosen, rows.tokens_of(chosen), strict=True):
            masked_row, row_labels = self.mask(row, drawn.windows.of("starts", drawn.index), drawn.place, vocabulary)
            masked_rows.append(masked_row)
            labels.append(row_labels)
        return rows.padded(masked_rows, vocabulary) | {"labels": rows.right_padded(labels, rows.NONE)}

    def mask(
        self, row: NDArray[Any], starts: NDArray[Any], place: tuple[int, str, int] | None, vocabulary: Vocabulary
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the masked row and its labels; a label is -100 where no token is predicted.

        Args:
            row: token ids.
            starts: 1 where a word begins.
            place: seed, source and position of the draw.
            vocabulary: ids of the tokenizer.
        """
        seed, source, position = place or (0, "", 0)
        rng = np.random.default_rng(integer_hash("mask", seed, source, position))
        maskable = ~np.isin(row, np.asarray(vocabulary.special))
        draws = rng.random((2, len(row)))
        random_tokens = rng.integers(0, vocabulary.size, len(row))
        chosen = maskable & (draws[0] < self.settings.rate)
        if self.settings.whole_words:
            chosen = _whole_words(maskable, starts, draws[0], self.settings.rate)
        masked_row, labels = row.copy(), np.where(chosen, row, rows.NONE)
        masked_row[chosen & (draws[1] < MASKED)] = vocabulary.mask
        replaced = chosen & (draws[1] >= MASKED) & (draws[1] < RANDOM)
        masked_row[replaced] = random_tokens[replaced]
        return masked_row, labels

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the mean cross-entropy over the chosen tokens of each window [windows]; 0 if none was chosen."""
        return rows.token_loss(outputs, batch["labels"])

    def watch(self, outputs: Any, batch: Batch) -> Mapping[str, tuple[float, float]]:
        """Return the number of chosen tokens that were predicted correctly, and the number of chosen tokens."""
        chosen = batch["labels"] != rows.NONE
        correct = outputs.logits.detach()[chosen].argmax(-1) == batch["labels"][chosen]
        return {"masked_accuracy": (float(correct.sum()), float(chosen.sum()))}


MLM = TaskKind(
    implementation=MaskedLanguageModelling, settings=MaskingSettings, measures=(), auto_class="AutoModelForMaskedLM"
)


def _whole_words(
    maskable: NDArray[np.bool_], starts: NDArray[Any], draws: NDArray[np.float64], rate: float
) -> NDArray[np.bool_]:
    """Choose words in the order of the draw of their first token, until the rate of tokens is reached."""
    word = np.cumsum(starts)
    num_tokens = round(rate * int(maskable.sum()))
    chosen = np.zeros(len(maskable), dtype=bool)
    first = np.flatnonzero((starts == 1) & maskable)
    for position in first[np.argsort(draws[first], kind="stable")]:
        if int(chosen.sum()) >= num_tokens:
            break
        chosen |= (word == word[position]) & maskable
    return chosen
