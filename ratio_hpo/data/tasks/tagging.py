"""Tagging of words: parts of speech, named entities and supertags.

The label is on the first token of a word. A word that has no tokens, or more tokens than a window, becomes the unknown
token (as in XTREME's utils_preprocess). Long sentences become several windows of whole words, so every word is scored
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ratio_hpo.core.yaml import Whole
from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.tasks import rows
from ratio_hpo.data.tasks.base import Batch, Drawn, Measures, Outputs, Scores, Task, TaskKind, TaskSettings, Vocabulary
from ratio_hpo.data.windows import Columns, WindowSet
from ratio_hpo.metrics import tags

if TYPE_CHECKING:
    import torch

TAGGER = "AutoModelForTokenClassification"

UNKNOWN = -1
"""Label of words whose tag the head lacks, which count as wrong."""

Tags = Sequence[Sequence[str]]
"""Tags of the words of each sentence."""


class TagSettings(TaskSettings):
    """Settings of tagging. A long sentence becomes several windows of whole words."""


class SupertagSettings(TaskSettings):
    """Settings of supertagging."""

    max_length: Whole = Field(default=256, ge=16)
    """Maximum number of tokens of a row, including special tokens; limited by the positions of the base model."""


class Tagging(Task):
    """Tagging on windows of whole words, with a label at the first token of each word."""

    examples = Sentence

    @classmethod
    def labels_of(cls, examples: Sequence[Sentence]) -> tuple[str, ...]:
        return tuple(sorted({tag for example in examples for tag in example.tags}))

    def encode(self, examples: Sequence[Sentence], tokenizer: Any) -> Columns:
        before, after = rows.surroundings(tokenizer)
        room = self.settings.max_length - len(before) - len(after)
        pieces = _pieces({word for example in examples for word in example.words}, tokenizer, room)
        number = {label: k for k, label in enumerate(self.labels)}
        windows: list[tuple[int, list[int], list[int]]] = []
        for item, example in enumerate(examples):
            row, marks = [], []
            for word, tag in zip(example.words, example.tags, strict=True):
                if len(row) + len(pieces[word]) > room:
                    windows.append((item, row, marks))
                    row, marks = [], []
                row += pieces[word]
                marks += [number.get(tag, UNKNOWN), *[rows.NONE] * (len(pieces[word]) - 1)]
            windows.append((item, row, marks))
        columns = rows.columns([[*before, *row, *after] for _, row, _ in windows], [item for item, _, _ in windows])
        unlabelled = [rows.NONE] * len(before), [rows.NONE] * len(after)
        return columns | {"tags": [[*unlabelled[0], *marks, *unlabelled[1]] for _, _, marks in windows]}

    def describe(self, example: Sentence) -> list[str]:
        return list(example.tags)

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        marks = [drawn.windows.of("tags", drawn.index) for drawn in chosen]
        labels = rows.right_padded([np.where(row == UNKNOWN, rows.NONE, row) for row in marks], rows.NONE)
        return rows.padded(rows.tokens_of(chosen), vocabulary) | {"labels": labels}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the mean cross-entropy over the words of each window [windows]; 0 if no word has a tag of the head."""
        return rows.token_loss(outputs, batch["labels"])

    def reduce(self, outputs: Any, batch: Batch) -> Batch:
        return {"labels": outputs.logits.argmax(-1)}

    def score(self, windows: WindowSet, outputs: Outputs, language: str, split: str) -> list[Scores]:
        predicted: list[list[str]] = [[] for _ in range(windows.num_items)]
        for index in sorted(outputs):
            words = np.flatnonzero(windows.of("tags", index) != rows.NONE)
            labels = outputs[index]["labels"][words]
            predicted[int(windows.columns["item"][index])] += [self.labels[int(label)] for label in labels]
        gold = [windows.text(item) for item in range(windows.num_items)]
        return [rows.scores_of(windows, language, split, self.measures(predicted, gold))]

    def measures(self, predicted: Tags, gold: Tags) -> Measures:
        """Return the item scores by measure, from the predicted and the gold tags of each sentence."""
        return {"accuracy": tags.accuracy_counts(predicted, gold)}


class NamedEntities(Tagging):
    """Tagging with the entity types of the training data, each as B- and I-, and O."""

    @classmethod
    def labels_of(cls, examples: Sequence[Sentence]) -> tuple[str, ...]:
        types = sorted({tag.partition("-")[2] for example in examples for tag in example.tags} - {""})
        return ("O", *(f"{mark}-{name}" for name in types for mark in "BI"))

    def measures(self, predicted: Tags, gold: Tags) -> Measures:
        return {"f1": tags.f1_counts(predicted, gold, tags.spans), **super().measures(predicted, gold)}


class PartsOfSpeech(Tagging):
    """Tagging with the 17 universal tags and `_`."""

    def measures(self, predicted: Tags, gold: Tags) -> Measures:
        return {"f1": tags.f1_counts(predicted, gold, tags.runs), **super().measures(predicted, gold)}


UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "SYM", "VERB", "X", "_",
)  # fmt: skip
"""The 17 universal tags, and `_`, which means "no tag" in UD 2.5."""

POS = TaskKind(
    implementation=PartsOfSpeech, settings=TagSettings, measures=("f1", "accuracy"), auto_class=TAGGER, labels=UPOS
)
NER = TaskKind(
    implementation=NamedEntities, settings=TagSettings, measures=("f1", "accuracy"), auto_class=TAGGER, labels=None
)
CCG = TaskKind(implementation=Tagging, settings=SupertagSettings, auto_class=TAGGER, labels=None)
"""Supertags of the training data; a word with any other supertag counts as wrong."""


def _pieces(words: set[str], tokenizer: Any, room: int) -> dict[str, list[int]]:
    """Return the tokens of each word, encoded separately: at least one, and at most `room`."""
    if not words:
        return {}
    ordered = sorted(words)
    # byte-level tokens mark a word by the space before it
    prefix = " " if "ByteLevel" in repr(tokenizer.backend_tokenizer.pre_tokenizer) else ""
    encoded = tokenizer([f"{prefix}{word}" for word in ordered], add_special_tokens=False, verbose=False)["input_ids"]
    unknown = [tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id]
    return {word: list(ids) if 0 < len(ids) <= room else unknown for word, ids in zip(ordered, encoded, strict=True)}
