"""Scores of single evaluation items, kept apart from evictable stages, for item-level comparisons of trials.

Each evaluation is one file `<stage identity>/<step>-<evaluation>.parquet`, with one row per item and measure: target,
language, split, id, group (the passage, which a bootstrap must not split), measure, numerator and denominator. A score
is the ratio of the sums of numerators and denominators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.files import written_whole
from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.data.tasks import Scores
from ratio_hpo.metrics.convergence import Sums

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


class ItemStore:
    """A store of item scores by name.

    Args:
        root: folder of the store; created on the first write.
        remote_store: store shared with other machines; None: no other machines, or a common disk.
    """

    root: Path

    def __init__(self, root: Path, remote_store: RemoteStore | None = None) -> None:
        self.root, self._remote_store = root, remote_store

    def write(self, name: str, items: Mapping[str, Sequence[Scores]]) -> None:
        """Store the items of an evaluation by target; do nothing if the name already exists.

        Raises:
            OSError: the file cannot be written.
            RemoteStoreError: the remote store stays unavailable.
        """
        path = self._path(name)
        if path.is_file():
            return
        rows = [
            (target, scores.language, scores.split, item, group, measure, float(numerator), float(denominator))
            for target, parts in items.items()
            for scores in parts
            for measure, sums in scores.measures.items()
            for item, group, numerator, denominator in zip(scores.ids, scores.groups, *sums, strict=True)
        ]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in SCHEMA]
        with written_whole(path) as part_file:
            table = pa.table(columns, schema=SCHEMA)
            pq.write_table(table, part_file, compression="zstd", write_page_checksum=True)
        if self._remote_store is not None:
            self._remote_store.put(path)

    def read(self, name: str) -> pa.Table:
        """Read the items of an evaluation as a table with `SCHEMA`.

        Raises:
            OSError: the items are not stored.
            DataError: the file is damaged.
        """
        path = self._path(name)
        try:
            table = pq.read_table(path, page_checksum_verification=True, memory_map=False)
            if table.schema.names != SCHEMA.names:
                raise pa.ArrowInvalid(f"columns {', '.join(table.schema.names)}")
            table.validate(full=True)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError, NotImplementedError) as error:  # bases of Arrow's errors
            raise DataError(
                f"{path}: item scores are damaged ({str(error).splitlines()[0][:100]}); delete the file; "
                "comparisons then use whole scores"
            ) from error
        return table

    def has(self, name: str) -> bool:
        """Return whether the items are stored, locally or in the remote store."""
        path = self._path(name)
        return path.is_file() or (self._remote_store is not None and self._remote_store.has(path))

    def fetch(self, name: str) -> None:
        """Copy the items of an evaluation from the remote store, if they are not stored locally."""
        path = self._path(name)
        if self._remote_store is not None and not path.is_file():
            self._remote_store.fetch(path)

    def _path(self, name: str) -> Path:
        return self.root / f"{name}.parquet"


def sums_by_part(table: pa.Table, split: str) -> dict[tuple[str, str, str], tuple[list[str], Sums]]:
    """Return ids and sums of each (target, language, measure) of a split, in the order of the file."""
    rows = table.to_pandas()
    rows = rows[rows["split"] == split]
    by_part = {}
    for key, part in rows.groupby(["target", "language", "measure"], observed=True, sort=False):
        sums = (np.asarray(part["numerator"], dtype=float), np.asarray(part["denominator"], dtype=float))
        by_part[(str(key[0]), str(key[1]), str(key[2]))] = (part["id"].tolist(), sums)
    return by_part
