"""Token windows on disk: memory-mapped Arrow files that all workers of a machine share.

A window set is a folder named by the fingerprint of its inputs: data, tokenizer, and task with its settings. It is
written under a temporary name and renamed, so readers never see an incomplete one. A window is one row of tokens, or
several rows in sequence (one row per choice).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

WINDOWS, ITEMS, META = "windows.arrow", "items.arrow", "meta.json"

LENGTHS = "lengths"
"""List column of windows with several rows: the number of tokens of each row."""

Columns = dict[str, NDArray[np.int32] | Sequence[Sequence[int] | NDArray[np.int32]]]
"""Columns of a window set by name: an array of one integer per window, or a sequence of integers for each window."""


@dataclass(frozen=True, slots=True)
class WindowSet:
    """Windows of one set of examples, memory-mapped.

    Attributes:
        ids: token ids of all windows, flat [tokens]; window i is ids[bounds[i]:bounds[i + 1]].
        columns: columns with one integer per window [windows]: `item`, and columns that the task added.
        lists: flat columns that the task added per token or per row, each with the bounds of windows [windows + 1].
        item_ids: ids of the examples.
        groups: group of each example (its passage), which a bootstrap must not cut.
        texts: JSON of what the task needs of each example.
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
        """Number of rows of all windows."""
        return len(self.lists[LENGTHS][0]) if LENGTHS in self.lists else len(self)

    def length(self, index: int) -> int:
        """Return the number of tokens of a window, over all its rows."""
        return int(self.bounds[index + 1] - self.bounds[index])

    def longest(self, index: int) -> int:
        """Return the number of tokens of the longest row of a window, which its rows are padded to."""
        return int(self.of(LENGTHS, index).max()) if LENGTHS in self.lists else self.length(index)

    def num_rows_of(self, index: int) -> int:
        """Return the number of rows of a window."""
        return len(self.of(LENGTHS, index)) if LENGTHS in self.lists else 1

    def lengths(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of tokens of each of the given windows [n]."""
        return self.bounds[indices + 1] - self.bounds[indices]

    def rows_among(self, indices: NDArray[np.int64]) -> int:
        """Return the total number of rows of the given windows."""
        if LENGTHS not in self.lists:
            return len(indices)
        bounds = self.lists[LENGTHS][1]
        return int((bounds[indices + 1] - bounds[indices]).sum())

    def tokens(self, index: int) -> NDArray[np.int32]:
        return self.ids[self.bounds[index] : self.bounds[index + 1]]

    def of(self, name: str, index: int) -> NDArray[np.int32]:
        """Return the values of a list column for a window."""
        values, bounds = self.lists[name]
        return values[bounds[index] : bounds[index + 1]]

    def rows(self, index: int) -> list[NDArray[np.int32]]:
        """Return the tokens of each row of a window."""
        if LENGTHS not in self.lists:
            return [self.tokens(index)]
        return np.split(self.tokens(index), np.cumsum(self.of(LENGTHS, index))[:-1])

    def text(self, item: int) -> Any:
        """Return what the task needs of an example."""
        return json.loads(self.texts[item].as_py())


def write_columns(path: Path, columns: Mapping[str, pa.Array]) -> None:
    """Write columns as one batch of an Arrow file, which readers memory-map."""
    import pyarrow as pa

    table = pa.table(dict(columns))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=max(len(table), 1))


def arrow_columns(columns: Columns) -> dict[str, pa.Array]:
    """Return the columns of windows as Arrow arrays of 32-bit integers, or of lists of them."""
    import pyarrow as pa

    lists = pa.list_(pa.int32())
    return {
        name: pa.array(values, pa.int32() if isinstance(values, np.ndarray) else lists)
        for name, values in columns.items()
    }


def open_windows(folder: Path | str) -> WindowSet:
    """Memory-map a window set."""
    import pyarrow as pa

    folder = Path(folder)
    rows, items = _read(folder / WINDOWS), _read(folder / ITEMS)
    columns = {name: values for name, values in rows.items() if not isinstance(values, pa.ListArray)}
    flat = {name: _flat(values) for name, values in rows.items() if name not in columns}
    ids, bounds = flat.pop("input_ids")
    return WindowSet(
        folder=str(folder),
        ids=ids,
        bounds=bounds,
        columns={name: values.to_numpy(zero_copy_only=True) for name, values in columns.items()},
        lists=flat,
        item_ids=items["id"].to_pylist(),
        groups=items["group"].to_pylist(),
        texts=items["texts"],
    )


def _flat(values: pa.ListArray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    return (values.values.to_numpy(zero_copy_only=True), values.offsets.to_numpy(zero_copy_only=True).astype(np.int64))


def _read(path: Path) -> dict[str, pa.Array]:
    """Return the columns of an Arrow file, each of which is one chunk."""
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return {
        name: column.chunks[0] if column.chunks else pa.array([], column.type)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
