"""LAReQA: the sentence that answers a question, in every language at once; mAP@20.

A candidate is a sentence with its passage, once in each language. Right for a question is its answer sentence in every
language; all candidates are there to be found, and only the questions of a split are asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ratio_hpo.data.examples import Asked, Placed
from ratio_hpo.data.tasks.base import Scores
from ratio_hpo.data.tasks.embedding import Embedding, vectors_of
from ratio_hpo.data.tasks.items import plain_mean
from ratio_hpo.data.tasks.rows import row_columns, single_rows
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics.retrieval import average_precisions

MOST_QUESTION, MOST_CANDIDATE = 96, 256
"""Tokens of the two at most (XTREME-R)."""


class AnswerRetrieval(Embedding):
    """Windows of the questions that are asked, then of the candidates; a question knows which ones are right."""

    name = "lareqa"

    def encode(self, examples: Sequence[Placed], tokenizer: Any) -> dict[str, Any]:
        asked = [(item, _asked(placed)) for item, placed in enumerate(examples) if placed.split]
        number: dict[tuple[str, str, str], int] = {}
        owners: list[int] = []
        right: dict[str, set[int]] = {}
        for item, placed in enumerate(examples):
            question = _asked(placed)
            for sentence in question.sentences:
                if number.setdefault((sentence, question.context, placed.language), len(number)) == len(owners):
                    owners.append(item)
            answer = question.sentences[question.answer], question.context, placed.language
            right.setdefault(question.id, set()).add(number[answer])
        longest = self.settings.max_length
        questions = single_rows([q.question for _, q in asked], tokenizer, min(MOST_QUESTION, longest))
        texts = [f"{sentence} {context}" for sentence, context, _ in number]
        rows = single_rows(texts, tokenizer, min(MOST_CANDIDATE, longest))
        targets = [*(sorted(right[question.id]) for _, question in asked), *([] for _ in number)]
        kinds = [*[0] * len(asked), *[1] * len(number)]
        columns = row_columns([*questions, *rows], [*(item for item, _ in asked), *owners])
        return columns | {
            "candidate": pa.array(kinds, pa.int32()),
            "targets": pa.array(targets, pa.list_(pa.int32())),
        }

    def describe(self, example: Placed) -> Any:
        return {"language": example.language, "split": example.split}

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        vectors, candidates = vectors_of(windows, outputs), windows.columns["candidate"] == 1
        asked = np.flatnonzero(~candidates)
        targets = [{int(place) for place in windows.of("targets", int(k))} for k in asked]
        values = average_precisions(vectors[asked], vectors[candidates], targets)
        about = [windows.text(item) for item in windows.columns["item"][asked]]
        found = []
        for tongue, part in dict.fromkeys((text["language"], text["split"]) for text in about):
            chosen = [k for k, text in enumerate(about) if (text["language"], text["split"]) == (tongue, part)]
            items = windows.columns["item"][asked[chosen]]
            found.append(
                Scores(
                    language=tongue,
                    split=part,
                    ids=[windows.item_ids[item] for item in items],
                    groups=[windows.groups[item] for item in items],
                    measures={"map20": plain_mean(values[chosen].tolist())},
                )
            )
        return found


def _asked(placed: Placed) -> Asked:
    if not isinstance(placed.example, Asked):
        raise TypeError(f"lareqa needs questions on sentences, but got {type(placed.example).__name__}")
    return placed.example
