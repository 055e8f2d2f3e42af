"""Multiple choice: one row and one logit per alternative, a softmax over the rows; accuracy.

If several alternatives have the highest score, the first one is the prediction (XTREME, run_xcopa.py: argmax).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ratio_hpo.data.examples import ChoiceQuestion
from ratio_hpo.data.tasks import rows
from ratio_hpo.data.tasks.base import Batch, Drawn, TaskKind, TaskSettings, Vocabulary
from ratio_hpo.data.tasks.classification import Classification
from ratio_hpo.data.windows import LENGTHS, Columns

if TYPE_CHECKING:
    import torch


class ChoiceSettings(TaskSettings):
    """Settings of multiple choice. The prompt is cut at the front, since its end matters most."""


class MultipleChoice(Classification):
    """Multiple choice; each example is one window with one row per alternative."""

    examples = ChoiceQuestion

    def encode(self, examples: Sequence[ChoiceQuestion], tokenizer: Any) -> Columns:
        prompts = [example.prompt for example in examples for _ in example.choices]
        choices = [choice for example in examples for choice in example.choices]
        room = self.settings.max_length - tokenizer.num_special_tokens_to_add(pair=True)
        prompts = _cut_from_front(prompts, choices, tokenizer, room)
        flat, seconds = rows.pair_rows(prompts, choices, tokenizer, self.settings.max_length)
        bounds = np.cumsum([0, *(len(example.choices) for example in examples)])
        row_ranges = [slice(bounds[k], bounds[k + 1]) for k in range(len(examples))]
        columns = rows.columns([np.concatenate(flat[row_range]) for row_range in row_ranges], range(len(examples)))
        return columns | {
            LENGTHS: [[len(row) for row in flat[row_range]] for row_range in row_ranges],
            "second": [seconds[row_range] for row_range in row_ranges],
            "label": rows.integers(example.label for example in examples),
        }

    def describe(self, example: ChoiceQuestion) -> int:
        return example.label

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        seconds = [int(start) for drawn in chosen for start in drawn.windows.of("second", drawn.index)]
        batch = rows.padded(rows.tokens_of(chosen), vocabulary, seconds)
        batch = {key: value.unsqueeze(0) for key, value in batch.items()}  # the model takes [1, rows, tokens]
        return batch | {
            "labels": rows.label_tensor(rows.integers_of(chosen, "label")),
            "rows": rows.label_tensor([drawn.windows.num_rows_of(drawn.index) for drawn in chosen]),
        }

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy over the alternatives of each example [windows]."""
        return rows.cross_entropy(_by_example(outputs, batch), batch["labels"])

    def reduce(self, outputs: Any, batch: Batch) -> Batch:
        return {"label": _by_example(outputs, batch).argmax(-1)}


CHOICE = TaskKind(implementation=MultipleChoice, settings=ChoiceSettings, auto_class="AutoModelForMultipleChoice")


def _by_example(outputs: Any, batch: Batch) -> torch.Tensor:
    """Return logits [windows, largest number of alternatives], rows.padded with minus infinity."""
    from torch.nn.utils.rnn import pad_sequence

    parts = outputs.logits.float().reshape(-1).split(batch["rows"].tolist())
    return pad_sequence(list(parts), batch_first=True, padding_value=float("-inf"))


def _cut_from_front(prompts: list[str], choices: list[str], tokenizer: Any, room: int) -> list[str]:
    """Cut prompts at the front where a row is too long, leaving at least one token of each prompt."""
    cut = []
    spans = zip(prompts, rows.spans_of(prompts, tokenizer), rows.spans_of(choices, tokenizer), strict=True)
    for prompt, prompt_spans, choice_spans in spans:
        num_cut = min(len(prompt_spans) + len(choice_spans) - room, len(prompt_spans) - 1)
        cut.append(prompt[prompt_spans[num_cut][0] :] if num_cut > 0 else prompt)
    return cut
