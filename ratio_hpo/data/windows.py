"""Token windows on disk: tokenised once, memory-mapped Arrow, shared by all workers of a machine.

A window set is a folder named by what shaped it: data, tokenizer and task with its settings. It is written to a
temporary name and renamed, so a half-written one is never seen. A window is a row of tokens, or several (a row a
choice), one after another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WINDOWS, ITEMS, META = "windows.arrow", "items.arrow", "meta.json"

LENGTHS = "lengths"
"""Column of windows of several rows: the tokens of each."""


@dataclass(frozen=True, slots=True)
class WindowSet:
    """Windows of one set of examples, memory-mapped.

    Attributes:
        ids: token ids of all windows, flat [tokens]; window i is ids[bounds[i]:bounds[i + 1]].
        columns: one integer a window [windows]: `item`, and what the task added.
        lists: what the task added a token or a row, flat, with where each window begins [windows + 1].
        item_ids: of the examples.
        groups: what a bootstrap must not cut, of each example: its passage.
        texts: of each example, what its task needs of it, as JSON.
    """

    folder: str
    ids: NDArray[np.int32]
    bounds: NDArray[np.int64]
    columns: dict[str, NDArray[np.int32]]
    lists: dict[str, tuple[NDArray[np.int32], NDArray[np.int64]]]
    item_ids: list[str]
    groups: list[str]
    texts: pa.Array

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def num_items(self) -> int:
        return len(self.item_ids)

    @property
    def num_tokens(self) -> int:
        return len(self.ids)

    @property
    def num_rows(self) -> int:
        """Rows of all windows."""
        return len(self.lists[LENGTHS][0]) if LENGTHS in self.lists else len(self)

    def length(self, index: int) -> int:
        """Tokens of a window, over all its rows."""
        return int(self.bounds[index + 1] - self.bounds[index])

    def longest(self, index: int) -> int:
        """Tokens of the longest row of a window: what it is padded to."""
        return int(self.of(LENGTHS, index).max()) if LENGTHS in self.lists else self.length(index)

    def num_rows_of(self, index: int) -> int:
        """Rows of a window."""
        return len(self.of(LENGTHS, index)) if LENGTHS in self.lists else 1

    def lengths(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of each of some windows [n]."""
        return self.bounds[indices + 1] - self.bounds[indices]

    def rows_among(self, indices: NDArray[np.int64]) -> int:
        """Rows of some windows in all."""
        if LENGTHS not in self.lists:
            return len(indices)
        bounds = self.lists[LENGTHS][1]
        return int((bounds[indices + 1] - bounds[indices]).sum())

    def tokens(self, index: int) -> NDArray[np.int32]:
        return self.ids[self.bounds[index] : self.bounds[index + 1]]

    def of(self, name: str, index: int) -> NDArray[np.int32]:
        """What a list column holds of a window."""
        values, bounds = self.lists[name]
        return values[bounds[index] : bounds[index + 1]]

    def rows(self, index: int) -> list[NDArray[np.int32]]:
        """The tokens of each row of a window."""
        if LENGTHS not in self.lists:
            return [self.tokens(index)]
        return np.split(self.tokens(index), np.cumsum(self.of(LENGTHS, index))[:-1])

    def text(self, item: int) -> Any:
        """What the task needs of an example."""
        return json.loads(self.texts[item].as_py())


def open_windows(folder: Path | str) -> WindowSet:
    """Memory-map a window set."""
    folder = Path(folder)
    rows, items = _read(folder / WINDOWS), _read(folder / ITEMS)
    lists = {name: _single(rows, name) for name in rows.column_names if pa.types.is_list(rows.schema.field(name).type)}
    flat = {name: _flat(values) for name, values in lists.items()}
    ids, bounds = flat.pop("input_ids")
    return WindowSet(
        folder=str(folder),
        ids=ids,
        bounds=bounds,
        columns={
            name: _single(rows, name).to_numpy(zero_copy_only=True) for name in rows.column_names if name not in lists
        },
        lists=flat,
        item_ids=_single(items, "id").to_pylist(),
        groups=_single(items, "group").to_pylist(),
        texts=_single(items, "texts"),
    )


def _flat(values: Any) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    return (
        values.values.to_numpy(zero_copy_only=True),
        values.offsets.to_numpy(zero_copy_only=True).astype(np.int64),
    )


def _read(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _single(table: pa.Table, name: str) -> Any:
    chunks = table.column(name).chunks
    return chunks[0] if chunks else pa.array([], table.schema.field(name).type)
