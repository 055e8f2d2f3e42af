"""Rows of tokens, columns of windows, tensors of batches and scores of items, shared by the tasks.

PyTorch is imported inside the functions, so that reading the properties of a task does not load it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ratio_hpo.data.tasks.base import Batch, Drawn, Measures, Scores, Vocabulary
from ratio_hpo.data.windows import Columns, WindowSet
from ratio_hpo.metrics.convergence import Sums

if TYPE_CHECKING:
    import torch

Ids = NDArray[np.int32]
CHUNK = 1000

NONE = -100
"""Label of a token that is not predicted."""


def plain_mean(values: ArrayLike) -> Sums:
    """Return a measure that is the mean over items."""
    numerators = np.asarray(values, dtype=np.float64)
    return numerators, np.ones_like(numerators)


def scores_of(
    windows: WindowSet, language: str, split: str, measures: Measures, items: Sequence[int] | Ids | None = None
) -> Scores:
    """Return the scores of some items of a window set; by default, of all."""
    ids, groups = windows.item_ids, windows.groups
    if items is not None:
        ids, groups = [ids[item] for item in items], [groups[item] for item in items]
    return Scores(language=language, split=split, ids=ids, groups=groups, measures=measures)


def padded(rows: Sequence[Ids], vocabulary: Vocabulary, seconds: Sequence[int] | None = None) -> Batch:
    """Return rows as tensors [rows, longest], padded on the right.

    Args:
        rows: token ids of each row.
        vocabulary: ids of the tokenizer.
        seconds: where the second text of each row begins, for segment ids; None if rows hold one text.
    """
    mask = right_padded([np.ones(len(row)) for row in rows], 0)
    batch = {"input_ids": right_padded(rows, vocabulary.pad), "attention_mask": mask}
    if vocabulary.token_types:
        starts = [len(row) for row in rows] if seconds is None else seconds
        parts = [np.arange(len(row)) >= start for row, start in zip(rows, starts, strict=True)]
        batch["token_type_ids"] = right_padded(parts, 0)
    return batch


def right_padded(rows: Sequence[NDArray[Any]], filler: int) -> torch.Tensor:
    """Return rows of integers as a tensor [rows, longest]."""
    import torch

    values = np.full((len(rows), max(len(row) for row in rows)), filler, dtype=np.int64)
    for k, row in enumerate(rows):
        values[k, : len(row)] = row
    return torch.from_numpy(values)


def integers_of(chosen: Sequence[Drawn], column: str) -> list[int]:
    """Return the value of each window in a column with one integer per window."""
    return [int(drawn.windows.columns[column][drawn.index]) for drawn in chosen]


def label_tensor(labels: Sequence[int]) -> torch.Tensor:
    """Return labels as a tensor [labels]."""
    import torch

    return torch.tensor(labels)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of each window [windows] over logits [windows, labels]."""
    from torch.nn import functional

    return functional.cross_entropy(logits, labels, reduction="none")


def token_loss(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy over the labelled tokens of each window [windows]; 0 if none is labelled."""
    from torch.nn import functional

    losses = functional.cross_entropy(
        outputs.logits.float().transpose(1, 2), labels, reduction="none", ignore_index=NONE
    )
    return losses.sum(1) / (labels != NONE).sum(1).clamp(min=1)


def columns(ids: Sequence[Ids | Sequence[int]], items: Iterable[int]) -> Columns:
    """Return the columns that every window set has."""
    return {"input_ids": [np.asarray(row, dtype=np.int32) for row in ids], "item": integers(items)}


def integers(values: Iterable[int]) -> Ids:
    """Return a column with one integer per window."""
    return np.array(list(values), dtype=np.int32)


def pair_rows(
    firsts: Sequence[str], seconds: Sequence[str], tokenizer: Any, longest: int
) -> tuple[list[Ids], list[int]]:
    """Return a row for each pair of texts, with the longer text cut first, and where the second text begins."""
    ids: list[Ids] = []
    begins: list[int] = []
    for begin in range(0, len(firsts), CHUNK):
        part = slice(begin, begin + CHUNK)
        encoded = tokenizer(list(firsts[part]), list(seconds[part]), truncation="longest_first", max_length=longest)
        for k, row in enumerate(encoded["input_ids"]):
            parts = encoded.sequence_ids(k)
            ids.append(np.asarray(row, dtype=np.int32))
            begins.append(parts.index(1) if 1 in parts else len(row))
    return ids, begins


def single_rows(texts: Sequence[str], tokenizer: Any, longest: int) -> list[Ids]:
    """Return a row for each text."""
    rows: list[Ids] = []
    for begin in range(0, len(texts), CHUNK):
        encoded = tokenizer(list(texts[begin : begin + CHUNK]), truncation=True, max_length=longest)
        rows += [np.asarray(row, dtype=np.int32) for row in encoded["input_ids"]]
    return rows


def spans_of(texts: Sequence[str], tokenizer: Any) -> list[list[tuple[int, int]]]:
    """Return the span of characters of each token of each text, without special tokens."""
    encoded = tokenizer(
        list(texts), add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
    )
    return encoded["offset_mapping"]


def surroundings(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens before and after a single text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    inner = [k for k, mark in enumerate(special) if not mark]
    return list(ids[: inner[0]]), list(ids[inner[-1] + 1 :])


def tokens_of(chosen: Sequence[Drawn]) -> list[Ids]:
    """Return all rows of tokens of the windows."""
    return [row for drawn in chosen for row in drawn.windows.rows(drawn.index)]
