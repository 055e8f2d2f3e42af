"""Tatoeba: retrieve the translation of each English sentence as its nearest neighbour; accuracy.

The direction is that of XTREME. All sentences of the other language are in the index, but only the English sentences
of a split are queries.
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
    """Translation retrieval; each side of a pair is a window. English sentences outside the split are not embedded."""

    name = "tatoeba"

    def encode(self, examples: Sequence[Placed], tokenizer: Any) -> dict[str, Any]:
        texts: list[str] = []
        items: list[int] = []
        sides: list[int] = []
        for item, placed in enumerate(examples):
            pair = placed.example
            if not isinstance(pair, Translation):
                raise TypeError(f"tatoeba needs Translation examples, not {type(pair).__name__}; use a tatoeba corpus")
            pair_texts = [pair.text, pair.english] if placed.split else [pair.text]
            texts += pair_texts
            items += [item] * len(pair_texts)
            sides += range(len(pair_texts))
        columns = row_columns(single_rows(texts, tokenizer, self.settings.max_length), items)
        return columns | {"english": pa.array(sides, pa.int32())}

    def describe(self, example: Placed) -> Any:
        return {"language": example.language, "split": example.split}

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        vectors, english = vectors_of(windows, outputs), windows.columns["english"] == 1
        items = windows.columns["item"]
        metadata = [windows.text(item) for item in range(windows.num_items)]
        scores = []
        for code in dict.fromkeys(text["language"] for text in metadata):
            in_language = np.array([metadata[item]["language"] == code for item in items])
            index = np.flatnonzero(in_language & ~english)
            for split_name in sorted({text["split"] for text in metadata if text["language"] == code} - {""}):
                queries = np.flatnonzero(
                    in_language & english & np.array([metadata[item]["split"] == split_name for item in items])
                )
                correct = items[index[nearest(vectors[queries], vectors[index])]] == items[queries]
                scores.append(
                    Scores(
                        language=code,
                        split=split_name,
                        ids=[windows.item_ids[item] for item in items[queries]],
                        groups=[windows.groups[item] for item in items[queries]],
                        measures={"accuracy": plain_mean(correct.astype(float).tolist())},
                    )
                )
        return scores
