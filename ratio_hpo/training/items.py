"""Scores of single evaluation items: kept beside the store that evicts, to compare trials item by item later on.

A file is an evaluation: `<stage identity>/<step>-<evaluation>.parquet` with one row an item: language, split, id,
group (what a bootstrap must not cut: the passage), and the additive parts of the measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ratio_hpo.core.files import written_whole

SCHEMA = pa.schema(
    [
        ("language", pa.dictionary(pa.int8(), pa.string())),
        ("split", pa.dictionary(pa.int8(), pa.string())),
        ("id", pa.string()),
        ("group", pa.dictionary(pa.int32(), pa.string())),
        ("f1", pa.float32()),
        ("em", pa.float32()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScores:
    """The items of one language and split, in the order of the data.

    Attributes:
        ids, groups: of each item; items of one passage share a group.
        f1, em: in [0, 1]; their means are the scores of the language.
    """

    language: str
    split: str
    ids: Sequence[str]
    groups: Sequence[str]
    f1: Sequence[float]
    em: Sequence[float]


class ItemStore:
    """Item scores by name.

    Args:
        root: its folder; made when something is kept.
    """

    root: Path

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, parts: Sequence[ItemScores]) -> None:
        """Keep the items of an evaluation; what is there under its name stays.

        Raises:
            OSError: it cannot be written.
        """
        path = self._path(name)
        if path.is_file():
            return
        columns: dict[str, list[Any]] = {field.name: [] for field in SCHEMA}
        for part in parts:
            columns["language"] += [part.language] * len(part.ids)
            columns["split"] += [part.split] * len(part.ids)
            columns["id"] += part.ids
            columns["group"] += part.groups
            columns["f1"] += part.f1
            columns["em"] += part.em
        with written_whole(path) as whole:
            pq.write_table(pa.table(columns, schema=SCHEMA), whole, compression="zstd")

    def read(self, name: str) -> pa.Table:
        """The items of an evaluation, as `SCHEMA` has them.

        Raises:
            OSError: there are none.
        """
        return pq.read_table(self._path(name))

    def has(self, name: str) -> bool:
        return self._path(name).is_file()

    def _path(self, name: str) -> Path:
        return self.root / f"{name}.parquet"
