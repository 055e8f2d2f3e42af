"""BUCC: translations among the sentences of two texts, mined by margin; F1 at the threshold of the development set.

All sentences are there to be mined; the pairs that are scored are those whose source is in the split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ratio_hpo.data.examples import Mined, Placed
from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.embedding import Embedding, vectors_of
from ratio_hpo.data.tasks.rows import row_columns, single_rows
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics.retrieval import Candidate, best_threshold, extracted, mine, texts_in_order


class Mining(Embedding):
    """A window a sentence."""

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
        about = [{**windows.text(item), "item": item} for item in range(windows.num_items)]
        found = []
        for tongue in dict.fromkeys(sentence["language"] for sentence in about):
            ours = [sentence for sentence in about if sentence["language"] == tongue]
            development = [sentence for sentence in ours if sentence["development"]]
            threshold = best_threshold(_candidates(development, vectors), _gold(development))
            tested = [sentence for sentence in ours if not sentence["development"]]
            pairs = extracted(_candidates(tested, vectors), threshold)
            for part in sorted({sentence["split"] for sentence in tested} - {""}):
                asked = [s for s in tested if s["split"] == part and not s["english"]]
                found.append(_scores(tongue, part, asked, pairs, windows))
        return found


def _scores(
    language: str, split: str, asked: Sequence[Mapping[str, Any]], pairs: set[tuple[str, str]], windows: WindowSet
) -> Scores:
    """Counts of each source sentence: what was said of it, what is right, and what agrees."""
    said: dict[str, set[str]] = {}
    for source, mate in pairs:
        said.setdefault(source, set()).add(mate)
    right = np.array([float(len(said.get(s["id"], set()) & set(s["mates"]))) for s in asked])
    extracted_ = np.array([float(len(said.get(s["id"], ()))) for s in asked])
    gold = np.array([float(len(s["mates"])) for s in asked])
    return Scores(
        language=language,
        split=split,
        ids=[windows.item_ids[s["item"]] for s in asked],
        groups=[windows.groups[s["item"]] for s in asked],
        measures={"f1": (2 * right, extracted_ + gold), "precision": (right, extracted_), "recall": (right, gold)},
    )


def _sentence(placed: Placed) -> Mined:
    if not isinstance(placed.example, Mined):
        raise TypeError(f"bucc needs sentences to be mined, but got {type(placed.example).__name__}")
    return placed.example


def _gold(sentences: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(sentence["id"], mate) for sentence in sentences for mate in sentence["mates"]}


def _candidates(sentences: Sequence[Mapping[str, Any]], vectors: Any) -> list[Candidate]:
    sides = {
        "sources": {s["id"]: s["text"] for s in sentences if not s["english"]},
        "english": {s["id"]: s["text"] for s in sentences if s["english"]},
    }
    items = {(s["english"], s["text"]): s["item"] for s in sentences}
    found = {
        side: vectors[[items[side == "english", text] for text in texts_in_order(texts)]]
        for side, texts in sides.items()
    }
    return mine(sides["sources"], sides["english"], found)
