"""Text vectors pooled from one layer of the encoder, shared by the retrieval tasks. Nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ratio_hpo.core.yaml import Real, Whole
from ratio_hpo.data.examples import Asked, Example, Placed
from ratio_hpo.data.tasks import rows
from ratio_hpo.data.tasks.base import ENCODER, Batch, Drawn, Outputs, Scores, Task, TaskKind, TaskSettings, Vocabulary
from ratio_hpo.data.windows import LENGTHS, Columns, WindowSet
from ratio_hpo.metrics.retrieval import average_precisions

if TYPE_CHECKING:
    import torch

LAST_LAYER = -1

USUAL_LAYER = 14 / 24
"""Default layer as a fraction of the depth: XTREME uses the 14th block of XLM-R Large."""


class RetrievalSettings(TaskSettings):
    """Settings of retrieval with vectors from a layer of the encoder, without training."""

    max_length: Whole = Field(default=512, ge=16)
    """Maximum number of tokens of a text, including special tokens; reduced to the positions of the base model."""

    layer: Whole | None = Field(default=None, ge=LAST_LAYER)
    """Layer whose hidden states are pooled: 0 is the embeddings, -1 the last layer. Default: round(14/24 x depth), as
    in XTREME; the last layer for a trained encoder."""

    pooling: Literal["mean", "cls"] = "mean"
    """Pooling of a text: `mean` over all tokens, including special tokens, or the first token (`cls`)."""

    def trained(self) -> TaskSettings:
        return self if self.layer is not None else self.model_copy(update={"layer": LAST_LAYER})


class DualEncoderSettings(RetrievalSettings):
    """Settings of trainable retrieval, with a softmax over the candidates of a batch."""

    scale: Real = Field(default=20.0, gt=0)
    """Factor by which cosines are multiplied in the softmax."""


class Embedding(Task):
    """Embedding of texts; each text is one window, and its vector is pooled from one layer."""

    def example_of(self, placed: Example) -> Any:
        """Return an example of a retrieval set without its role.

        Raises:
            TypeError: if it is of another class.
        """
        example = placed.example if isinstance(placed, Placed) else placed
        if not isinstance(example, self.examples):
            needed, actual = self.examples.__name__, type(example).__name__
            raise TypeError(f"task {self.name} needs {needed} examples, but got {actual}; use another corpus")
        return example

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        return rows.padded(rows.tokens_of(chosen), vocabulary)

    def inputs(self, batch: Batch) -> dict[str, object]:
        return {**super().inputs(batch), "output_hidden_states": True}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        raise TypeError("this retrieval task cannot be trained; use it as a target that is scored on a layer")

    def reduce(self, outputs: Any, batch: Batch) -> Batch:
        """Return the vector of each text: the mean over its tokens, including special tokens, or the first token."""
        layers = outputs.hidden_states
        depth = len(layers) - 1
        layer = round(USUAL_LAYER * depth) if self.settings.layer is None else min(self.settings.layer, depth)
        hidden = layers[layer].float()
        if self.settings.pooling == "cls":
            return {"vector": hidden[:, 0]}
        mask = batch["attention_mask"].unsqueeze(-1).float()
        return {"vector": (hidden * mask).sum(1) / mask.sum(1)}


def vectors_of(windows: WindowSet, outputs: Outputs) -> NDArray[np.float32]:
    """Return the vector of each window [windows, d], in window order."""
    return np.stack([np.asarray(outputs[index]["vector"], dtype=np.float32) for index in range(len(windows))])


class QuestionRetrieval(Embedding):
    """Retrieval of candidates for questions.

    For scoring, windows are the questions, then the candidates. For training, a window is a question and its answer.

    Attributes:
        most_question: maximum number of tokens of a question.
        most_candidate: maximum number of tokens of a candidate.
        by_language: whether the same candidate in two languages counts as two.
        later_first: whether the later of two equally near candidates ranks first, as in the LAReQA evaluation script.
    """

    examples = Asked
    in_batch = True
    most_question: ClassVar[int]
    most_candidate: ClassVar[int]
    by_language: ClassVar[bool]
    later_first: ClassVar[bool] = False

    def encode(self, examples: Sequence[Placed | Asked], tokenizer: Any) -> Columns:
        placed = [example for example in examples if isinstance(example, Placed)]
        if placed:
            return self._encode_scored(placed, tokenizer)
        return self._encode_trained([self.example_of(example) for example in examples], tokenizer)

    def describe(self, example: Placed | Asked) -> dict[str, str] | None:
        return {"language": example.language, "split": example.split} if isinstance(example, Placed) else None

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        batch = rows.padded(rows.tokens_of(chosen), vocabulary)
        if LENGTHS not in chosen[0].windows.lists:
            return batch
        answers = [drawn.windows.columns["candidate"][drawn.index] for drawn in chosen]
        sets = [drawn.windows.folder for drawn in chosen]
        numbers = {key: k for k, key in enumerate(dict.fromkeys(zip(sets, answers, strict=True)))}
        return batch | {"labels": rows.label_tensor([numbers[key] for key in zip(sets, answers, strict=True)])}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of each question over the batch's distinct candidates [windows]."""
        import torch

        vectors = torch.nn.functional.normalize(self.reduce(outputs, batch)["vector"], dim=1)
        logits = self.settings.scale * vectors[0::2] @ vectors[1::2].T
        labels = batch["labels"]
        diagonal = torch.arange(len(labels), device=labels.device)
        repeated = (labels[:, None] == labels[None, :]) & (diagonal[:, None] != diagonal[None, :])
        return rows.cross_entropy(logits.masked_fill(repeated, float("-inf")), diagonal)

    def score(self, windows: WindowSet, outputs: Outputs, language: str, split: str) -> list[Scores]:
        vectors, candidates = vectors_of(windows, outputs), windows.columns["candidate"] == 1
        questions = np.flatnonzero(~candidates)
        targets = [{int(row) for row in windows.of("targets", int(k))} for k in questions]
        values = average_precisions(vectors[questions], vectors[candidates], targets, later_first=self.later_first)
        texts = [windows.text(item) for item in windows.columns["item"][questions]]
        scores = []
        for code, split_name in dict.fromkeys((text["language"], text["split"]) for text in texts):
            selected = [k for k, text in enumerate(texts) if (text["language"], text["split"]) == (code, split_name)]
            items = windows.columns["item"][questions[selected]]
            measures = {"map20": rows.plain_mean(values[selected])}
            scores.append(rows.scores_of(windows, code, split_name, measures, items))
        return scores

    def _encode_scored(self, examples: Sequence[Placed], tokenizer: Any) -> Columns:
        number: dict[tuple[str, str], int] = {}
        owners: list[int] = []
        answers: dict[str, set[int]] = {}  # translations of a question are one question, with one answer per language
        names = [placed.id if self.by_language else str(item) for item, placed in enumerate(examples)]
        for item, placed in enumerate(examples):
            question = self.example_of(placed)
            language = placed.language if self.by_language else ""
            for candidate in question.candidates:
                if number.setdefault((candidate, language), len(number)) == len(owners):
                    owners.append(item)
            if question.answer is not None:
                answer = number[question.candidates[question.answer], language]
                answers.setdefault(names[item], set()).add(answer)
        queries = [(item, self.example_of(placed)) for item, placed in enumerate(examples) if placed.split]
        questions = self._rows([question.question for _, question in queries], tokenizer, self.most_question)
        candidates = self._rows([text for text, _ in number], tokenizer, self.most_candidate)
        targets = [*(sorted(answers[names[item]]) for item, _ in queries), *([] for _ in number)]
        columns = rows.columns([*questions, *candidates], [*(item for item, _ in queries), *owners])
        return columns | {"candidate": rows.integers([*[0] * len(queries), *[1] * len(number)]), "targets": targets}

    def _encode_trained(self, examples: Sequence[Asked], tokenizer: Any) -> Columns:
        """Encode a row for each question and one for its answer, and number the distinct answers."""
        pairs = [
            (item, example.question, example.candidates[example.answer])
            for item, example in enumerate(examples)
            if example.answer is not None
        ]
        number = {text: k for k, text in enumerate(dict.fromkeys(answer for _, _, answer in pairs))}
        questions = self._rows([question for _, question, _ in pairs], tokenizer, self.most_question)
        answers = self._rows([answer for _, _, answer in pairs], tokenizer, self.most_candidate)
        row_pairs = list(zip(questions, answers, strict=True))
        columns = rows.columns([np.concatenate(pair) for pair in row_pairs], [item for item, _, _ in pairs])
        return columns | {
            LENGTHS: [[len(row) for row in pair] for pair in row_pairs],
            "candidate": rows.integers(number[answer] for _, _, answer in pairs),
        }

    def _rows(self, texts: Sequence[str], tokenizer: Any, longest: int) -> list[Any]:
        return rows.single_rows(texts, tokenizer, min(longest, self.settings.max_length))


class AnswerRetrieval(QuestionRetrieval):
    """Answer retrieval, with the lengths of XTREME-R."""

    most_question, most_candidate, by_language = 96, 256, True
    later_first = True


class EntityRetrieval(QuestionRetrieval):
    """Entity retrieval, with the lengths of XTREME-R."""

    most_question, most_candidate, by_language = 64, 64, False


LAREQA = TaskKind(
    implementation=AnswerRetrieval, settings=DualEncoderSettings, measures=("map20",), auto_class=ENCODER, on_layer=True
)
MEWSLI = TaskKind(
    implementation=EntityRetrieval, settings=DualEncoderSettings, measures=("map20",), auto_class=ENCODER, on_layer=True
)
