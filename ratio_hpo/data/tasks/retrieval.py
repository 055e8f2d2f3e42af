"""A text that asks for one of many candidates, which the retrieval tasks with questions share.

Untrained, both are pooled from a layer. Trained, they are a dual encoder: one encoder for both sides, whose last layer
is pooled, under a softmax over the candidates of the batch (in-batch negatives; Roy et al. 2020, LAReQA). Its loss
compares the windows of a batch, so that they go through the model together, whatever the micro-batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch

from ratio_hpo.data.examples import Asked, Placed
from ratio_hpo.data.tasks.base import Batch, Drawn, Scores, Vocabulary
from ratio_hpo.data.tasks.embedding import Embedding, vectors_of
from ratio_hpo.data.tasks.items import plain_mean
from ratio_hpo.data.tasks.rows import padded, row_columns, single_rows
from ratio_hpo.data.tasks.settings import DualEncoderSettings
from ratio_hpo.data.windows import LENGTHS, WindowSet
from ratio_hpo.metrics.retrieval import average_precisions

INTEGERS = pa.list_(pa.int32())


class QuestionRetrieval(Embedding):
    """Scored: a window each question that is asked, then each candidate. Trained: a window a question with its answer.

    Attributes:
        most_question, most_candidate: tokens of the two at most.
        by_language: whether a candidate counts once in each language.
        later_first: whether of equally near candidates the later one comes first, as in LAReQA's own evaluation.
    """

    settings: DualEncoderSettings
    in_batch = True
    most_question: ClassVar[int]
    most_candidate: ClassVar[int]
    by_language: ClassVar[bool]
    later_first: ClassVar[bool] = False

    def encode(self, examples: Sequence[Placed | Asked], tokenizer: Any) -> dict[str, Any]:
        placed = [example for example in examples if isinstance(example, Placed)]
        if placed:
            return self._encode_scored(placed, tokenizer)
        return self._encode_trained([_asked(example) for example in examples], tokenizer)

    def describe(self, example: Placed | Asked) -> Any:
        return {"language": example.language, "split": example.split} if isinstance(example, Placed) else None

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        batch = padded([row for drawn in chosen for row in drawn.windows.rows(drawn.index)], vocabulary)
        if LENGTHS not in chosen[0].windows.lists:
            return batch
        right = [drawn.windows.columns["candidate"][drawn.index] for drawn in chosen]
        sets = [drawn.windows.folder for drawn in chosen]
        numbers = {key: k for k, key in enumerate(dict.fromkeys(zip(sets, right, strict=True)))}
        return batch | {"labels": torch.tensor([numbers[key] for key in zip(sets, right, strict=True)])}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy of each question over the candidates of the batch [windows]; equal candidates are one."""
        vectors = torch.nn.functional.normalize(self.reduce(outputs, batch)["vector"], dim=1)
        logits = self.settings.scale * vectors[0::2] @ vectors[1::2].T
        labels = batch["labels"]
        again = (labels[:, None] == labels[None, :]) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        right = torch.arange(len(labels), device=labels.device)
        return torch.nn.functional.cross_entropy(logits.masked_fill(again, float("-inf")), right, reduction="none")

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        vectors, candidates = vectors_of(windows, outputs), windows.columns["candidate"] == 1
        asked = np.flatnonzero(~candidates)
        targets = [{int(place) for place in windows.of("targets", int(k))} for k in asked]
        values = average_precisions(vectors[asked], vectors[candidates], targets, later_first=self.later_first)
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

    def _encode_scored(self, examples: Sequence[Placed], tokenizer: Any) -> dict[str, Any]:
        number: dict[tuple[str, str], int] = {}
        owners: list[int] = []
        right: dict[str, set[int]] = {}  # one question in several languages is one, with an answer in each
        names = [placed.id if self.by_language else str(item) for item, placed in enumerate(examples)]
        for item, placed in enumerate(examples):
            question = _asked(placed.example)
            language = placed.language if self.by_language else ""
            for candidate in question.candidates:
                if number.setdefault((candidate, language), len(number)) == len(owners):
                    owners.append(item)
            if question.answer is not None:
                answer = number[question.candidates[question.answer], language]
                right.setdefault(names[item], set()).add(answer)
        asked = [(item, _asked(placed.example)) for item, placed in enumerate(examples) if placed.split]
        questions = self._rows([question.question for _, question in asked], tokenizer, self.most_question)
        candidates = self._rows([text for text, _ in number], tokenizer, self.most_candidate)
        targets = [*(sorted(right[names[item]]) for item, _ in asked), *([] for _ in number)]
        columns = row_columns([*questions, *candidates], [*(item for item, _ in asked), *owners])
        return columns | {
            "candidate": pa.array([*[0] * len(asked), *[1] * len(number)], pa.int32()),
            "targets": pa.array(targets, INTEGERS),
        }

    def _encode_trained(self, examples: Sequence[Asked], tokenizer: Any) -> dict[str, Any]:
        """A row of the question and a row of its answer; which answer it is, among the different ones."""
        pairs = [
            (item, example.question, example.candidates[example.answer])
            for item, example in enumerate(examples)
            if example.answer is not None
        ]
        number = {text: k for k, text in enumerate(dict.fromkeys(answer for _, _, answer in pairs))}
        questions = self._rows([question for _, question, _ in pairs], tokenizer, self.most_question)
        answers = self._rows([answer for _, _, answer in pairs], tokenizer, self.most_candidate)
        both = list(zip(questions, answers, strict=True))
        columns = row_columns([np.concatenate(rows) for rows in both], [item for item, _, _ in pairs])
        return columns | {
            LENGTHS: pa.array([[len(row) for row in rows] for rows in both], INTEGERS),
            "candidate": pa.array([number[answer] for _, _, answer in pairs], pa.int32()),
        }

    def _rows(self, texts: Sequence[str], tokenizer: Any, longest: int) -> list[Any]:
        return single_rows(texts, tokenizer, min(longest, self.settings.max_length))


def _asked(example: Any) -> Asked:
    if not isinstance(example, Asked):
        raise TypeError(f"needs questions with candidates, but got {type(example).__name__}")
    return example
