"""Tatoeba: for each English sentence its translation, found as the nearest one; accuracy (XTREME's direction).

All sentences of the other language are there to be found; only the English ones of a split are asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ratio_hpo.data.examples import Placed, Translation
from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.embedding import Embedding, vectors_of
from ratio_hpo.data.tasks.items import plain_mean
from ratio_hpo.data.tasks.rows import row_columns, single_rows
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics.retrieval import nearest


class Tatoeba(Embedding):
    """A window a side of a pair; an English side that is not asked is not embedded."""

    name = "tatoeba"

    def encode(self, examples: Sequence[Placed], tokenizer: Any) -> dict[str, Any]:
        texts: list[str] = []
        items: list[int] = []
        sides: list[int] = []
        for item, placed in enumerate(examples):
            pair = placed.example
            if not isinstance(pair, Translation):
                raise TypeError(f"tatoeba needs translations, but got {type(pair).__name__}")
            shown = [pair.text, pair.english] if placed.split else [pair.text]
            texts += shown
            items += [item] * len(shown)
            sides += range(len(shown))
        columns = row_columns(single_rows(texts, tokenizer, self.settings.max_length), items)
        return columns | {"english": pa.array(sides, pa.int32())}

    def describe(self, example: Placed) -> Any:
        return {"language": example.language, "split": example.split}

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        vectors, english = vectors_of(windows, outputs), windows.columns["english"] == 1
        items = windows.columns["item"]
        about = [windows.text(item) for item in range(windows.num_items)]
        found = []
        for tongue in dict.fromkeys(text["language"] for text in about):
            held = np.array([about[item]["language"] == tongue for item in items])
            index = np.flatnonzero(held & ~english)
            for part in sorted({text["split"] for text in about if text["language"] == tongue} - {""}):
                asked = np.flatnonzero(held & english & np.array([about[item]["split"] == part for item in items]))
                right = items[index[nearest(vectors[asked], vectors[index])]] == items[asked]
                found.append(
                    Scores(
                        language=tongue,
                        split=part,
                        ids=[windows.item_ids[item] for item in items[asked]],
                        groups=[windows.groups[item] for item in items[asked]],
                        measures={"accuracy": plain_mean(right.astype(float).tolist())},
                    )
                )
        return found
