"""Scores of single evaluation items: kept beside the store that evicts, to compare trials item by item later on.

A file is an evaluation: `<stage identity>/<step>-<evaluation>.parquet` with one row for each item and measure: target,
language, split, id, group (what a bootstrap must not cut: the passage), measure, and its numerator and denominator: a
score is the ratio of their sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.files import written_whole
from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.data.tasks import Scores
from ratio_hpo.metrics.ratio import Sums

_NAME, _FLOAT = pa.dictionary(pa.int32(), pa.string()), pa.float64()

SCHEMA = pa.schema(
    [
        ("target", _NAME),
        ("language", _NAME),
        ("split", _NAME),
        ("id", pa.string()),
        ("group", _NAME),
        ("measure", _NAME),
        ("numerator", _FLOAT),
        ("denominator", _FLOAT),
    ]
)


@dataclass(frozen=True, slots=True)
class TargetScores:
    """The scores of a target's items in a language and split."""

    target: str
    scores: Scores


class ItemStore:
    """Item scores by name.

    Args:
        root: its folder; made when something is kept.
        remote_store: where other machines keep theirs; None: here, or there are none.
    """

    root: Path

    def __init__(self, root: Path, remote_store: RemoteStore | None = None) -> None:
        self.root, self._remote_store = root, remote_store

    def write(self, name: str, parts: Sequence[TargetScores]) -> None:
        """Keep the items of an evaluation; what is there under its name stays.

        Raises:
            OSError: it cannot be written.
            RemoteStoreError: the remote store is away for longer than it is waited for.
        """
        path = self._path(name)
        if path.is_file():
            return
        columns: dict[str, list[Any]] = {field.name: [] for field in SCHEMA}
        for part in parts:
            scores, number = part.scores, len(part.scores.ids)
            for measure, (numerators, denominators) in scores.measures.items():
                columns["target"] += [part.target] * number
                columns["language"] += [scores.language] * number
                columns["split"] += [scores.split] * number
                columns["id"] += scores.ids
                columns["group"] += scores.groups
                columns["measure"] += [measure] * number
                columns["numerator"] += numerators.tolist()
                columns["denominator"] += denominators.tolist()
        with written_whole(path) as whole:
            table = pa.table(columns, schema=SCHEMA)
            pq.write_table(table, whole, compression="zstd", write_page_checksum=True)
        if self._remote_store is not None:
            self._remote_store.put(path)

    def read(self, name: str) -> pa.Table:
        """The items of an evaluation, as `SCHEMA` has them.

        Raises:
            OSError: there are none.
            DataError: they are not as they were written.
        """
        path = self._path(name)
        try:
            table = pq.read_table(path, page_checksum_verification=True, memory_map=False)
            if table.schema.names != SCHEMA.names:
                raise pa.ArrowInvalid(f"columns {', '.join(table.schema.names)}")
            table.validate(full=True)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError, NotImplementedError) as error:  # Arrow's are of these
            raise DataError(
                f"{path}: item scores are not as they were written ({str(error).splitlines()[0][:100]}); delete the "
                "file: without it, differences are those of whole scores"
            ) from error
        return table

    def has(self, name: str) -> bool:
        """Whether they are kept, here or in the remote store."""
        path = self._path(name)
        return path.is_file() or (self._remote_store is not None and self._remote_store.has(path))

    def fetch(self, name: str) -> None:
        """Bring the items of an evaluation here, where another machine has kept them."""
        path = self._path(name)
        if self._remote_store is not None and not path.is_file():
            self._remote_store.fetch(path)

    def _path(self, name: str) -> Path:
        return self.root / f"{name}.parquet"


def sums_by_part(table: pa.Table, split: str) -> dict[tuple[str, str, str], tuple[list[str], Sums]]:
    """Ids and sums of each (target, language, measure) of a split, in the order of the file."""
    chosen = table.to_pandas()
    chosen = chosen[chosen["split"] == split]
    found = {}
    for key, part in chosen.groupby(["target", "language", "measure"], observed=True, sort=False):
        sums = (np.asarray(part["numerator"], dtype=float), np.asarray(part["denominator"], dtype=float))
        found[(str(key[0]), str(key[1]), str(key[2]))] = (part["id"].tolist(), sums)
    return found
