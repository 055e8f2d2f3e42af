"""Extractive question answering: predict a span of the passage by its first and its last token.

The label of a question without an answer in its passage is the first token, as Devlin et al. 2019 train SQuAD 2.0.
Under the metric `squad2`, the prediction is "no answer" if the first token scores more than `null_threshold` above the
best span.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ratio_hpo.core.yaml import Real, Whole
from ratio_hpo.data.examples import Question
from ratio_hpo.data.offsets import covered, trimmed, with_marks
from ratio_hpo.data.tasks import rows
from ratio_hpo.data.tasks.base import Batch, Drawn, Outputs, Scores, Task, TaskKind, TaskSettings, Vocabulary
from ratio_hpo.data.windows import Columns, WindowSet
from ratio_hpo.metrics.registry import METRICS

if TYPE_CHECKING:
    import torch

BEST = 20
"""Number of candidate starts and ends of a window that decoding combines (Devlin et al. 2019, run_squad)."""

SPECIAL_TOKENS = 4


class WindowSpec(TaskSettings):
    """Settings of question answering: how passages are cut into windows."""

    max_length: Whole = Field(default=384, ge=16)
    """Maximum number of tokens of a window, including special tokens; limited by the positions of the base model."""

    stride: Whole = Field(default=128, ge=0)
    """Number of tokens by which neighbouring windows of a passage overlap."""

    max_question: Whole = Field(default=64, ge=1)
    """Maximum number of tokens of a question, at most half a window; the rest is cut off."""

    max_answer: Whole = Field(default=30, ge=1)
    """Maximum number of tokens of a predicted answer."""

    null_threshold: Real = 0.0
    """Predict "no answer" if its score exceeds that of the best span by more than this. Only for corpora with
    unanswerable questions (`format: squad2`)."""

    @model_validator(mode="after")
    def _passage_fits(self) -> WindowSpec:
        room = self.max_length - self.question_tokens - SPECIAL_TOKENS
        if self.stride >= room:
            raise ValueError(
                f"stride must be less than max_length minus question and special tokens ({room}), "
                f"but got {self.stride}; lower it"
            )
        return self

    @property
    def question_tokens(self) -> int:
        """Maximum number of tokens of a question: `max_question`, or half a window if that is less."""
        return min(self.max_question, self.max_length // 2)


class QuestionAnswering(Task):
    """Question answering on sliding windows; the label is the answer span, or the first token if it is cut off."""

    examples = Question

    def encode(self, examples: Sequence[Question], tokenizer: Any) -> Columns:
        ids: list[rows.Ids] = []
        offsets: list[rows.Ids] = []
        values_of: dict[str, list[int]] = {key: [] for key in ("item", "first", "last", "start", "end")}
        for begin in range(0, len(examples), rows.CHUNK):
            part = examples[begin : begin + rows.CHUNK]
            encoded = tokenizer(
                _shortened([q.question.strip() for q in part], tokenizer, self.settings.question_tokens),
                [q.context for q in part],
                truncation="only_second",
                max_length=self.settings.max_length,
                stride=self.settings.stride,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
            samples = encoded["overflow_to_sample_mapping"]
            inside = [
                [k for k, sequence in enumerate(encoded.sequence_ids(window)) if sequence == 1]
                for window in range(len(samples))
            ]
            all_spans = [np.asarray(spans, dtype=np.int32) for spans in encoded["offset_mapping"]]
            covered_characters = _covered_characters(part, samples, all_spans, inside)
            for k, sample in enumerate(samples):
                spans = all_spans[k]
                first, last = (inside[k][0], inside[k][-1]) if inside[k] else (0, -1)
                start, end = _label(part[sample], spans, first, last, covered_characters[sample])
                spans[inside[k], 1] = with_marks(part[sample].context, spans[inside[k], 1], covered_characters[sample])
                ids.append(np.asarray(encoded["input_ids"][k], dtype=np.int32))
                offsets.append(spans.reshape(-1))
                values = (begin + sample, first, last, start, end)
                for key, value in zip(values_of, values, strict=True):
                    values_of[key].append(value)
        columns = rows.columns(ids, values_of.pop("item"))
        columns["offsets"] = offsets
        return columns | {key: rows.integers(values) for key, values in values_of.items()}

    def describe(self, example: Question) -> dict[str, object]:
        return {"context": example.context, "answers": [answer.text for answer in example.answers]}

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        labels = {key: rows.label_tensor(rows.integers_of(chosen, key)) for key in ("start", "end")}
        return rows.padded(rows.tokens_of(chosen), vocabulary, rows.integers_of(chosen, "first")) | labels

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the mean cross-entropy of the start and the end of each window [batch]."""
        masked = batch["attention_mask"] == 0
        start = outputs.start_logits.float().masked_fill(masked, -1e9)
        end = outputs.end_logits.float().masked_fill(masked, -1e9)
        return (rows.cross_entropy(start, batch["start"]) + rows.cross_entropy(end, batch["end"])) / 2

    def reduce(self, outputs: Any, batch: Batch) -> Batch:
        return {"start": outputs.start_logits.float(), "end": outputs.end_logits.float()}

    def predict(self, windows: WindowSet, outputs: Outputs) -> list[str]:
        """Return the answer to each question, in the order of the data."""
        best: dict[int, tuple[float, int, int]] = {}
        null: dict[int, float] = {}
        for index, output in outputs.items():
            length = windows.length(index)
            start, end = output["start"][:length], output["end"][:length]
            first, last = (int(windows.columns[key][index]) for key in ("first", "last"))
            span = _best_span(start, end, first, last, self.settings.max_answer)
            question = int(windows.columns["item"][index])
            null[question] = min(null.get(question, np.inf), float(start[0] + end[0]))
            if span is not None and (question not in best or span[0] > best[question][0]):
                spans = windows.of("offsets", index).reshape(-1, 2)
                best[question] = (span[0], int(spans[span[1], 0]), int(spans[span[2], 1]))
        answers = [""] * windows.num_items
        for question, (score, begin, stop) in best.items():
            if self.rule != "squad2" or null[question] - score <= self.settings.null_threshold:
                answers[question] = windows.text(question)["context"][begin:stop].strip()  # tokens may include spaces
        return answers

    def score(self, windows: WindowSet, outputs: Outputs, language: str, split: str) -> list[Scores]:
        golds = [windows.text(item)["answers"] for item in range(windows.num_items)]
        scorer = METRICS.find(self.rule or "squad")
        answers = zip(self.predict(windows, outputs), golds, strict=True)
        f1, exact = zip(*(scorer(prediction, gold, language) for prediction, gold in answers), strict=True)
        return [rows.scores_of(windows, language, split, {"f1": rows.plain_mean(f1), "em": rows.plain_mean(exact)})]


QA = TaskKind(
    implementation=QuestionAnswering,
    settings=WindowSpec,
    measures=("f1", "em"),
    auto_class="AutoModelForQuestionAnswering",
)


def _best_span(start: Any, end: Any, first: int, last: int, longest: int) -> tuple[float, int, int] | None:
    """Return score, start and end of the best span within tokens first..last, of at most `longest` tokens."""
    if last < first:
        return None
    num_tokens = last - first + 1
    starts = np.argsort(-start[first : last + 1], kind="stable")[:BEST]
    ends = np.argsort(-end[first : last + 1], kind="stable")[:BEST]
    length = ends[None, :] - starts[:, None] + 1
    scores = start[first + starts][:, None] + end[first + ends][None, :]
    scores = np.where((length >= 1) & (length <= min(longest, num_tokens)), scores, -np.inf)
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    if not np.isfinite(scores[row, column]):
        best = int(np.argmax(start[first : last + 1]))
        return float(start[first + best] + end[first + best]), first + best, first + best
    return float(scores[row, column]), first + int(starts[row]), first + int(ends[column])


def _covered_characters(
    questions: Sequence[Question], samples: Sequence[int], spans: Sequence[rows.Ids], inside: Sequence[list[int]]
) -> list[NDArray[np.bool_]]:
    """Return which characters of each passage are covered by a token in any of its windows."""
    window_spans: list[list[rows.Ids]] = [[] for _ in questions]
    for sample, window, positions in zip(samples, spans, inside, strict=True):
        window_spans[sample].append(window[positions])
    return [
        covered(np.concatenate([*windows, np.zeros((0, 2), np.int32)]), len(question.context))
        for question, windows in zip(questions, window_spans, strict=True)
    ]


def _label(question: Question, spans: Any, first: int, last: int, is_covered: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first and last token of the first answer, or (0, 0) if the window does not hold all of it.

    Args:
        is_covered: which characters of the passage are covered by a token; the others are trimmed from the answer.
    """
    if not question.answers or last < first:
        return 0, 0
    answer = question.answers[0]
    begin, stop = trimmed(question.context, answer.start, answer.start + len(answer.text), is_covered)
    if begin == stop or spans[first, 0] > begin or spans[last, 1] < stop:
        return 0, 0
    inside = spans[first : last + 1]
    start = int(np.searchsorted(inside[:, 1], begin, side="right"))
    end = int(np.searchsorted(inside[:, 0], stop, side="left")) - 1
    return first + min(start, len(inside) - 1), first + max(end, start)


def _shortened(questions: list[str], tokenizer: Any, max_tokens: int) -> list[str]:
    """Cut questions after `max_tokens` tokens."""
    return [
        text if len(spans) <= max_tokens else text[: _end_of_tokens(text, spans, max_tokens)]
        for text, spans in zip(questions, rows.spans_of(questions, tokenizer), strict=True)
    ]


def _end_of_tokens(text: str, spans: Sequence[tuple[int, int]], max_tokens: int) -> int:
    """Return the end of the first `max_tokens` tokens, including combining marks on their last character."""
    token_spans = np.asarray(spans)
    return int(with_marks(text, token_spans[max_tokens - 1 : max_tokens, 1], covered(token_spans, len(text)))[0])
