"""Retrieval of translations on a layer of the encoder: Tatoeba and BUCC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.data.examples import Mined, Placed, Translation
from ratio_hpo.data.tasks import rows
from ratio_hpo.data.tasks.base import Measures, Outputs, Scores, TaskKind
from ratio_hpo.data.tasks.retrieval import Embedding, RetrievalSettings, vectors_of
from ratio_hpo.data.windows import Columns, WindowSet
from ratio_hpo.metrics.retrieval import Candidate, best_threshold, extracted, mine, nearest, texts_in_order


class Tatoeba(Embedding):
    """Translation retrieval; each side of a pair is a window. English sentences outside the split are not embedded."""

    examples = Translation

    def encode(self, examples: Sequence[Placed], tokenizer: Any) -> Columns:
        texts: list[str] = []
        items: list[int] = []
        sides: list[int] = []
        for item, placed in enumerate(examples):
            pair = self.example_of(placed)
            pair_texts = [pair.text, pair.english] if placed.split else [pair.text]
            texts += pair_texts
            items += [item] * len(pair_texts)
            sides += range(len(pair_texts))
        columns = rows.columns(rows.single_rows(texts, tokenizer, self.settings.max_length), items)
        return columns | {"english": rows.integers(sides)}

    def describe(self, example: Placed) -> dict[str, str]:
        return {"language": example.language, "split": example.split}

    def score(self, windows: WindowSet, outputs: Outputs, language: str, split: str) -> list[Scores]:
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
                measures = {"accuracy": rows.plain_mean(correct)}
                scores.append(rows.scores_of(windows, code, split_name, measures, items[queries]))
        return scores


class Mining(Embedding):
    """Mining of translation pairs; each sentence is one window."""

    examples = Mined

    def encode(self, examples: Sequence[Placed], tokenizer: Any) -> Columns:
        texts = [self.example_of(placed).text for placed in examples]
        return rows.columns(rows.single_rows(texts, tokenizer, self.settings.max_length), range(len(examples)))

    def describe(self, example: Placed) -> dict[str, object]:
        sentence: Mined = self.example_of(example)
        return {
            "language": example.language,
            "split": example.split,
            "id": sentence.id,
            "text": sentence.text,
            "english": sentence.english,
            "development": sentence.development,
            "mates": list(sentence.mates),
        }

    def score(self, windows: WindowSet, outputs: Outputs, language: str, split: str) -> list[Scores]:
        vectors = vectors_of(windows, outputs)
        sentences = [_Sentence(item=item, **windows.text(item)) for item in range(windows.num_items)]
        scores = []
        for code in dict.fromkeys(sentence.language for sentence in sentences):
            development = [s for s in sentences if s.language == code and s.development]
            gold = {(sentence.id, mate) for sentence in development for mate in sentence.mates}
            threshold = best_threshold(_candidates(development, vectors), gold)
            tested = [s for s in sentences if s.language == code and not s.development]
            pairs = extracted(_candidates(tested, vectors), threshold)
            for split_name in sorted({sentence.split for sentence in tested} - {""}):
                sources = [s for s in tested if s.split == split_name and not s.english]
                measures = _measures(sources, pairs)
                scores.append(rows.scores_of(windows, code, split_name, measures, [s.item for s in sources]))
        return scores


class _Sentence(NamedTuple):
    """A sentence of a window set, as `Mining.describe` stores it."""

    item: int
    language: str
    split: str
    id: str
    text: str
    english: bool
    development: bool
    mates: list[str]


def _measures(sources: Sequence[_Sentence], extracted_pairs: set[tuple[str, str]]) -> Measures:
    """Return F1, precision and recall from the extracted, gold and correct pairs of each source sentence."""
    predicted: dict[str, set[str]] = {}
    for source, mate in extracted_pairs:
        predicted.setdefault(source, set()).add(mate)
    correct = np.array([float(len(predicted.get(s.id, set()) & set(s.mates))) for s in sources])
    extracted_counts = np.array([float(len(predicted.get(s.id, ()))) for s in sources])
    gold = np.array([float(len(s.mates)) for s in sources])
    return {
        "f1": (2 * correct, extracted_counts + gold),
        "precision": (correct, extracted_counts),
        "recall": (correct, gold),
    }


def _candidates(sentences: Sequence[_Sentence], vectors: NDArray[np.float32]) -> list[Candidate]:
    sources = {s.id: s.text for s in sentences if not s.english}
    english = {s.id: s.text for s in sentences if s.english}
    items = {(s.english, s.text): s.item for s in sentences}
    order = [[items[side is english, text] for text in texts_in_order(side)] for side in (sources, english)]
    return mine(sources, english, {"sources": vectors[order[0]], "english": vectors[order[1]]})


TATOEBA = TaskKind(implementation=Tatoeba, settings=RetrievalSettings, on_layer=True)
BUCC = TaskKind(
    implementation=Mining, settings=RetrievalSettings, measures=("f1", "precision", "recall"), on_layer=True
)
