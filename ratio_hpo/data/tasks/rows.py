"""Build scores from item predictions, for tasks that score every item of a window set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from ratio_hpo.data.tasks.base import Batch, Drawn, ItemScores, Scores, Vocabulary
from ratio_hpo.data.windows import WindowSet


def plain_mean(values: Sequence[float]) -> ItemScores:
    """Return a measure that is the mean over items."""
    numerators = np.asarray(values, dtype=np.float64)
    return numerators, np.ones_like(numerators)


def item_scores(windows: WindowSet, language: str, split: str, **means: Sequence[float]) -> Scores:
    """Return scores whose measures are means over all items."""
    return scores_of(windows, language, split, **{name: plain_mean(values) for name, values in means.items()})


def scores_of(windows: WindowSet, language: str, split: str, **measures: ItemScores) -> Scores:
    """Return the scores of all items of a window set."""
    return Scores(language=language, split=split, ids=windows.item_ids, groups=windows.groups, measures=measures)


Ids = NDArray[np.int32]
CHUNK = 1000
LABELS = ("labels", "start", "end", "rows")
"""Entries of a batch that are not inputs of a model."""


def padded(rows: Sequence[Ids], vocabulary: Vocabulary, seconds: Sequence[int] | None = None) -> Batch:
    """Return rows as tensors [rows, longest], padded on the right.

    Args:
        rows: token ids of each row.
        vocabulary: ids of the tokenizer.
        seconds: where the second text of each row begins, for segment ids; None if rows hold one text.
    """
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), vocabulary.pad, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    types = np.zeros((len(rows), longest), dtype=np.int64)
    for k, row in enumerate(rows):
        ids[k, : len(row)] = row
        mask[k, : len(row)] = 1
        if seconds is not None:
            types[k, seconds[k] : len(row)] = 1
    batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    if vocabulary.token_types:
        batch["token_type_ids"] = torch.from_numpy(types)
    return batch


def model_inputs(batch: Batch) -> Batch:
    """Return the entries of a batch that the model takes."""
    return {key: value for key, value in batch.items() if key not in LABELS}


def row_columns(ids: Sequence[Ids | Sequence[int]], items: Iterable[int]) -> dict[str, Any]:
    """Return the columns that every window set has."""
    return {
        "input_ids": pa.array([np.asarray(row, dtype=np.int32) for row in ids], pa.list_(pa.int32())),
        "item": pa.array(list(items), pa.int32()),
    }


def pair_rows(
    firsts: Sequence[str], seconds: Sequence[str], tokenizer: Any, longest: int, truncation: str = "longest_first"
) -> tuple[list[Ids], list[int]]:
    """Return a row for each pair of texts, and the position at which the second text begins."""
    ids: list[Ids] = []
    begins: list[int] = []
    for begin in range(0, len(firsts), CHUNK):
        part = slice(begin, begin + CHUNK)
        encoded = tokenizer(list(firsts[part]), list(seconds[part]), truncation=truncation, max_length=longest)
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


def surroundings(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens before and after a single text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    inner = [k for k, mark in enumerate(special) if not mark]
    return list(ids[: inner[0]]), list(ids[inner[-1] + 1 :])


def rows_of(chosen: Sequence[Drawn]) -> list[Ids]:
    """Return the tokens of each window, for tasks with one row per window."""
    return [drawn.windows.tokens(drawn.index) for drawn in chosen]
