"""Item scores are read as written, or the damaged file is named."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.fingerprint import Digests, fingerprint_file
from ratio_hpo.data.tasks import Scores
from ratio_hpo.training.items import ItemStore


def written(tmp_path: Path) -> tuple[ItemStore, Path]:
    store = ItemStore(tmp_path)
    rng, ids = np.random.default_rng(0), [str(k) for k in range(500)]
    measures = {"f1": (rng.random(500), np.ones(500)), "em": (rng.random(500), np.ones(500))}
    scores = Scores(language="sw", split="validation", ids=ids, groups=ids, measures=measures)
    store.write("a/b", {"qa": [scores]})
    return store, tmp_path / "a" / "b.parquet"


def test_a_flipped_bit_changes_no_score(tmp_path: Path) -> None:
    """A flipped bit is detected, or does not change the scores."""
    store, path = written(tmp_path)
    whole, content, rng = store.read("a/b"), path.read_bytes(), random.Random(0)
    noticed = 0
    for _ in range(300):
        flipped = bytearray(content)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            assert store.read("a/b").to_pydict() == whole.to_pydict()
        except DataError:
            noticed += 1
    assert noticed > 200


@pytest.mark.parametrize("length", [0, 3, 100, -1])
def test_a_truncated_file_is_named(length: int, tmp_path: Path) -> None:
    store, path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"b.parquet: item scores are damaged .*; delete the file"):
        store.read("a/b")


def test_damaged_digests_are_worked_out_anew(tmp_path: Path) -> None:
    """One flipped bit in a stored digest used to refuse the study, as if its base model had changed."""
    file, data = tmp_path / "digests.json", tmp_path / "data"
    data.write_text("content")
    os.utime(data, (1.0, 1.0))
    right = [fingerprint_file(data)]
    assert Digests(file).of([data]) == right
    content = file.read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        assert Digests(file).of([data]) == right
