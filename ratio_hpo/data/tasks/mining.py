"""Retrieval of translations on a layer of the encoder: Tatoeba and BUCC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ratio_hpo.data.examples import Mined, Placed, Translation
from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.retrieval import Embedding, vectors_of
from ratio_hpo.data.tasks.rows import plain_mean, row_columns, single_rows
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics.retrieval import Candidate, best_threshold, extracted, mine, nearest, texts_in_order


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


class Mining(Embedding):
    """Mining of translation pairs; each sentence is one window."""

    name = "bucc"

    def encode(self, examples: Sequence[Placed], tokenizer: Any) -> dict[str, Any]:
        texts = [_sentence(placed).text for placed in examples]
        return row_columns(single_rows(texts, tokenizer, self.settings.max_length), range(len(examples)))

    def describe(self, example: Placed) -> Any:
        sentence = _sentence(example)
        return {
            "language": example.language,
            "split": example.split,
            "id": sentence.id,
            "text": sentence.text,
            "english": sentence.english,
            "development": sentence.development,
            "mates": list(sentence.mates),
        }

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        vectors = vectors_of(windows, outputs)
        sentences = [{**windows.text(item), "item": item} for item in range(windows.num_items)]
        scores = []
        for code in dict.fromkeys(sentence["language"] for sentence in sentences):
            of_language = [sentence for sentence in sentences if sentence["language"] == code]
            development = [sentence for sentence in of_language if sentence["development"]]
            threshold = best_threshold(_candidates(development, vectors), _gold(development))
            tested = [sentence for sentence in of_language if not sentence["development"]]
            pairs = extracted(_candidates(tested, vectors), threshold)
            for split_name in sorted({sentence["split"] for sentence in tested} - {""}):
                sources = [s for s in tested if s["split"] == split_name and not s["english"]]
                scores.append(_scores(code, split_name, sources, pairs, windows))
        return scores


def _scores(
    language: str,
    split: str,
    sources: Sequence[Mapping[str, Any]],
    extracted_pairs: set[tuple[str, str]],
    windows: WindowSet,
) -> Scores:
    """Return F1, precision and recall from the extracted, gold and correct pairs of each source sentence."""
    predicted: dict[str, set[str]] = {}
    for source, mate in extracted_pairs:
        predicted.setdefault(source, set()).add(mate)
    correct = np.array([float(len(predicted.get(s["id"], set()) & set(s["mates"]))) for s in sources])
    extracted_counts = np.array([float(len(predicted.get(s["id"], ()))) for s in sources])
    gold = np.array([float(len(s["mates"])) for s in sources])
    return Scores(
        language=language,
        split=split,
        ids=[windows.item_ids[s["item"]] for s in sources],
        groups=[windows.groups[s["item"]] for s in sources],
        measures={
            "f1": (2 * correct, extracted_counts + gold),
            "precision": (correct, extracted_counts),
            "recall": (correct, gold),
        },
    )


def _sentence(placed: Placed) -> Mined:
    if not isinstance(placed.example, Mined):
        raise TypeError(f"bucc needs `Mined` examples, but got {type(placed.example).__name__}; use a bucc corpus")
    return placed.example


def _gold(sentences: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(sentence["id"], mate) for sentence in sentences for mate in sentence["mates"]}


def _candidates(sentences: Sequence[Mapping[str, Any]], vectors: Any) -> list[Candidate]:
    sides = {
        "sources": {s["id"]: s["text"] for s in sentences if not s["english"]},
        "english": {s["id"]: s["text"] for s in sentences if s["english"]},
    }
    items = {(s["english"], s["text"]): s["item"] for s in sentences}
    vectors_by_side = {
        side: vectors[[items[side == "english", text] for text in texts_in_order(texts)]]
        for side, texts in sides.items()
    }
    return mine(sides["sources"], sides["english"], vectors_by_side)
