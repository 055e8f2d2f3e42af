"""Tagging of words, shared by parts of speech, named entities and supertags.

The label is on the first token of a word. A word that has no tokens, or more tokens than a window, becomes the unknown
token (as in XTREME's utils_preprocess). Long sentences become several windows of whole words, so every word is scored
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.tasks.base import Batch, Common, Drawn, Scores, Vocabulary
from ratio_hpo.data.tasks.registry import TagSettings
from ratio_hpo.data.tasks.rows import model_inputs, padded, row_columns, rows_of, scores_of, surroundings
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics import tags

NONE, UNKNOWN = -100, -1
"""Labels of tokens that do not begin a word, and of words whose tag the head lacks, which count as wrong."""


class Tagging(Common):
    """Tagging on windows of whole words, with a label at the first token of each word."""

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
                word_pieces = pieces[word]
                if len(row) + len(word_pieces) > room:
                    ids.append([*before, *row, *after])
                    tags.append([*[NONE] * len(before), *marks, *[NONE] * len(after)])
                    items.append(item)
                    row, marks = [], []
                row += word_pieces
                marks += [number.get(tag, UNKNOWN), *[NONE] * (len(word_pieces) - 1)]
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
        """Return the mean cross-entropy over the words of each window [windows]; 0 if no word has a tag of the head."""
        token_losses = torch.nn.functional.cross_entropy(
            outputs.logits.float().transpose(1, 2), batch["labels"], reduction="none", ignore_index=NONE
        )
        counted = (batch["labels"] != NONE).sum(1).clamp(min=1)
        return token_losses.sum(1) / counted

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        return {"labels": outputs.logits.argmax(-1)}

    def predict(self, windows: WindowSet, outputs: Mapping[int, Any]) -> list[list[str]]:
        """Return the predicted tag of each word of each sentence."""
        predicted: list[list[str]] = [[] for _ in range(windows.num_items)]
        for index in sorted(outputs):
            words = np.flatnonzero(windows.of("tags", index) != NONE)
            labels = outputs[index]["labels"][words]
            predicted[int(windows.columns["item"][index])] += [self.labels[int(label)] for label in labels]
        return predicted

    def gold(self, windows: WindowSet) -> list[list[str]]:
        """Return the gold tags of each sentence."""
        return [windows.text(item) for item in range(windows.num_items)]


def _pieces(words: set[str], tokenizer: Any, room: int) -> dict[str, list[int]]:
    """Return the tokens of each word, encoded separately: at least one, and at most `room`."""
    ordered = sorted(words)
    prefix = " " if _is_byte_level(tokenizer) else ""  # byte-level tokens mark a word by the space before it
    if not ordered:
        return {}
    encoded = tokenizer([f"{prefix}{word}" for word in ordered], add_special_tokens=False, verbose=False)["input_ids"]
    unknown = [tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id]
    return {word: list(ids) if 0 < len(ids) <= room else unknown for word, ids in zip(ordered, encoded, strict=True)}


def _is_byte_level(tokenizer: Any) -> bool:
    return "ByteLevel" in repr(tokenizer.backend_tokenizer.pre_tokenizer)


class Supertags(Tagging):
    """Tagging with the supertags of the training data; a word with any other supertag counts as wrong."""

    name = "ccg"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        accuracy = tags.accuracy_counts(self.predict(windows, outputs), self.gold(windows))
        return [scores_of(windows, language, split, accuracy=accuracy)]


class NamedEntities(Tagging):
    """Tagging with the entity types of the training data, each as B- and I-, and O."""

    name = "ner"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        predicted, gold = self.predict(windows, outputs), self.gold(windows)
        f1, accuracy = tags.f1_counts(predicted, gold, tags.spans), tags.accuracy_counts(predicted, gold)
        return [scores_of(windows, language, split, f1=f1, accuracy=accuracy)]


class PartsOfSpeech(Tagging):
    """Tagging with the 17 universal tags and `_`."""

    name = "pos"

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        predicted, gold = self.predict(windows, outputs), self.gold(windows)
        f1, accuracy = tags.f1_counts(predicted, gold, tags.runs), tags.accuracy_counts(predicted, gold)
        return [scores_of(windows, language, split, f1=f1, accuracy=accuracy)]
