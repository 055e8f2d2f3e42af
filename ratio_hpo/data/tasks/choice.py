"""Multiple choice: one row and one logit per alternative, a softmax over the rows; accuracy.

If several alternatives have the highest score, the first one is the prediction (XTREME, run_xcopa.py: argmax).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ratio_hpo.data.examples import ChoiceQuestion
from ratio_hpo.data.tasks.base import Batch, Common, Drawn, Scores, Vocabulary
from ratio_hpo.data.tasks.registry import ChoiceSettings
from ratio_hpo.data.tasks.rows import item_scores, model_inputs, padded, pair_rows, row_columns
from ratio_hpo.data.windows import LENGTHS, WindowSet


class MultipleChoice(Common):
    """Multiple choice; each example is one window with one row per alternative."""

    name = "choice"

    def __init__(self, settings: ChoiceSettings, labels: tuple[str, ...], options: str = "") -> None:
        self.settings = settings

    def encode(self, examples: Sequence[ChoiceQuestion], tokenizer: Any) -> dict[str, Any]:
        prompts = [example.prompt for example in examples for _ in example.choices]
        choices = [choice for example in examples for choice in example.choices]
        room = self.settings.max_length - tokenizer.num_special_tokens_to_add(pair=True)
        prompts = _cut_from_front(prompts, choices, tokenizer, room)
        flat, seconds = pair_rows(prompts, choices, tokenizer, self.settings.max_length)
        bounds = np.cumsum([0, *(len(example.choices) for example in examples)])
        row_ranges = [slice(bounds[k], bounds[k + 1]) for k in range(len(examples))]
        columns = row_columns([np.concatenate(flat[row_range]) for row_range in row_ranges], range(len(examples)))
        integers = pa.list_(pa.int32())
        return columns | {
            LENGTHS: pa.array([[len(row) for row in flat[row_range]] for row_range in row_ranges], integers),
            "second": pa.array([seconds[row_range] for row_range in row_ranges], integers),
            "label": pa.array([example.label for example in examples], pa.int32()),
        }

    def describe(self, example: ChoiceQuestion) -> Any:
        return example.label

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        rows = [row for drawn in chosen for row in drawn.windows.rows(drawn.index)]
        seconds = [int(start) for drawn in chosen for start in drawn.windows.of("second", drawn.index)]
        batch = padded(rows, vocabulary, seconds)
        batch = {key: value.unsqueeze(0) for key, value in batch.items()}  # the model takes [1, rows, tokens]
        labels = torch.tensor([int(drawn.windows.columns["label"][drawn.index]) for drawn in chosen])
        numbers = torch.tensor([drawn.windows.num_rows_of(drawn.index) for drawn in chosen])
        return batch | {"labels": labels, "rows": numbers}

    def inputs(self, batch: Batch) -> Batch:
        return model_inputs(batch)

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy over the alternatives of each example [windows]."""
        return torch.nn.functional.cross_entropy(_by_example(outputs, batch), batch["labels"], reduction="none")

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        return {"label": _by_example(outputs, batch).argmax(-1)}

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        gold = windows.columns["label"]
        hits = [float(int(outputs[index]["label"]) == gold[index]) for index in sorted(outputs)]
        return [item_scores(windows, language, split, accuracy=hits)]


def _by_example(outputs: Any, batch: Batch) -> torch.Tensor:
    """Return logits [windows, largest number of alternatives], padded with minus infinity."""
    parts = outputs.logits.float().reshape(-1).split(batch["rows"].tolist())
    return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True, padding_value=float("-inf"))


def _cut_from_front(prompts: list[str], choices: list[str], tokenizer: Any, room: int) -> list[str]:
    """Cut prompts at the front where a row is too long, leaving at least one token of each prompt."""

    def spans(texts: list[str]) -> Any:
        return tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)[
            "offset_mapping"
        ]

    cut = []
    for prompt, prompt_spans, choice_spans in zip(prompts, spans(prompts), spans(choices), strict=True):
        excess = len(prompt_spans) + len(choice_spans) - room
        num_cut = min(excess, len(prompt_spans) - 1)
        cut.append(prompt[prompt_spans[num_cut][0] :] if num_cut > 0 else prompt)
    return cut
