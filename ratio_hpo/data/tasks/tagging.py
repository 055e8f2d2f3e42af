"""Words with tags: what parts of speech, named entities and supertags share.

The label is on the first token of a word; a word without one becomes the unknown token, and so does one that has more
tokens than a window (as XTREME's utils_preprocess does). Long sentences become windows of whole words, so that every
word is scored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.tasks.base import Batch, Common, Drawn, Vocabulary
from ratio_hpo.data.tasks.rows import model_inputs, padded, row_columns, rows_of, surroundings
from ratio_hpo.data.tasks.settings import TagSettings
from ratio_hpo.data.windows import WindowSet

NONE, UNKNOWN = -100, -1
"""Labels of tokens that begin no word, and of words whose tag the head does not have: those count as wrong."""


class Tagging(Common):
    """Windows of whole words, with a label at each word's first token."""

    def __init__(self, settings: TagSettings, labels: tuple[str, ...], options: str = "") -> None:
        self.settings, self.labels = settings, labels

    def encode(self, examples: Sequence[Sentence], tokenizer: Any) -> dict[str, Any]:
        before, after = surroundings(tokenizer)
        room = self.settings.max_length - len(before) - len(after)
        pieces = _pieces({word for example in examples for word in example.words}, tokenizer, room)
        number = {label: k for k, label in enumerate(self.labels)}
        ids: list[list[int]] = []
        tags: list[list[int]] = []
        items: list[int] = []
        for item, example in enumerate(examples):
            row, marks = [], []
            for word, tag in zip(example.words, example.tags, strict=True):
                found = pieces[word]
                if len(row) + len(found) > room:
                    ids.append([*before, *row, *after])
                    tags.append([*[NONE] * len(before), *marks, *[NONE] * len(after)])
                    items.append(item)
                    row, marks = [], []
                row += found
                marks += [number.get(tag, UNKNOWN), *[NONE] * (len(found) - 1)]
            ids.append([*before, *row, *after])
            tags.append([*[NONE] * len(before), *marks, *[NONE] * len(after)])
            items.append(item)
        return row_columns(ids, items) | {"tags": pa.array(tags, pa.list_(pa.int32()))}

    def describe(self, example: Sentence) -> Any:
        return list(example.tags)

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        batch = padded(rows_of(chosen), vocabulary)
        labels = np.full(tuple(batch["input_ids"].shape), NONE, dtype=np.int64)
        for k, drawn in enumerate(chosen):
            marks = drawn.windows.of("tags", drawn.index)
            labels[k, : len(marks)] = np.where(marks == UNKNOWN, NONE, marks)
        return batch | {"labels": torch.from_numpy(labels)}

    def inputs(self, batch: Batch) -> Batch:
        return model_inputs(batch)

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy over the words of each window [windows]; 0 where none has a tag that the head knows."""
        each = torch.nn.functional.cross_entropy(
            outputs.logits.float().transpose(1, 2), batch["labels"], reduction="none", ignore_index=NONE
        )
        counted = (batch["labels"] != NONE).sum(1).clamp(min=1)
        return each.sum(1) / counted

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        return {"labels": outputs.logits.argmax(-1)}

    def predict(self, windows: WindowSet, outputs: Mapping[int, Any]) -> list[list[str]]:
        """The tag of each word of each sentence."""
        said: list[list[str]] = [[] for _ in range(windows.num_items)]
        for index in sorted(outputs):
            words = np.flatnonzero(windows.of("tags", index) != NONE)
            labels = outputs[index]["labels"][words]
            said[int(windows.columns["item"][index])] += [self.labels[int(label)] for label in labels]
        return said

    def gold(self, windows: WindowSet) -> list[list[str]]:
        """The right tags of each sentence."""
        return [windows.text(item) for item in range(windows.num_items)]


def _pieces(words: set[str], tokenizer: Any, room: int) -> dict[str, list[int]]:
    """The tokens of each word by itself; at least one, and no more than fit."""
    ordered = sorted(words)
    inner = " " if _is_byte_level(tokenizer) else ""  # which marks the beginning of a word by the blank before it
    if not ordered:
        return {}
    encoded = tokenizer([f"{inner}{word}" for word in ordered], add_special_tokens=False, verbose=False)["input_ids"]
    unknown = [tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id]
    return {word: list(ids) if 0 < len(ids) <= room else unknown for word, ids in zip(ordered, encoded, strict=True)}


def _is_byte_level(tokenizer: Any) -> bool:
    return "ByteLevel" in repr(tokenizer.backend_tokenizer.pre_tokenizer)
