"""Extractive question answering: a span of the passage, found by its first and its last token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ratio_hpo.data.questions import Question
from ratio_hpo.data.tasks.base import Batch
from ratio_hpo.data.windows import WindowSet, WindowSpec

BEST = 20
"""Candidate starts and ends of a window that decoding pairs (as in Devlin et al. 2019's run_squad)."""

CHUNK = 1000


class QuestionAnswering:
    """Sliding windows over passages; the label is the answer's span, or the first token where it is cut off."""

    name = "qa"
    auto_class = "AutoModelForQuestionAnswering"

    def encode(self, examples: Sequence[Question], tokenizer: Any, settings: WindowSpec) -> dict[str, Any]:
        ids: list[NDArrayInt] = []
        offsets: list[NDArrayInt] = []
        rows: dict[str, list[int]] = {key: [] for key in ("question", "first", "last", "start", "end")}
        for begin in range(0, len(examples), CHUNK):
            part = examples[begin : begin + CHUNK]
            encoded = tokenizer(
                _shortened([q.question.strip() for q in part], tokenizer, settings.question_tokens),
                [q.context for q in part],
                truncation="only_second",
                max_length=settings.max_length,
                stride=settings.stride,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
            for k, sample in enumerate(encoded["overflow_to_sample_mapping"]):
                spans = np.asarray(encoded["offset_mapping"][k], dtype=np.int32)
                inside = [place for place, part_of in enumerate(encoded.sequence_ids(k)) if part_of == 1]
                first, last = (inside[0], inside[-1]) if inside else (0, -1)
                start, end = _label(part[sample], spans, first, last)
                ids.append(np.asarray(encoded["input_ids"][k], dtype=np.int32))
                offsets.append(spans.reshape(-1))
                values = (begin + sample, first, last, start, end)
                for key, value in zip(rows, values, strict=True):
                    rows[key].append(value)
        columns: dict[str, Any] = {
            "input_ids": pa.array(ids, pa.list_(pa.int32())),
            "offsets": pa.array(offsets, pa.list_(pa.int32())),
        }
        return columns | {key: pa.array(values, pa.int32()) for key, values in rows.items()}

    def collate(self, chosen: Sequence[tuple[WindowSet, int]], pad: int, token_types: bool) -> Batch:
        longest = max(windows.length(index) for windows, index in chosen)
        ids = np.full((len(chosen), longest), pad, dtype=np.int64)
        mask = np.zeros((len(chosen), longest), dtype=np.int64)
        types = np.zeros((len(chosen), longest), dtype=np.int64)
        labels = np.zeros((2, len(chosen)), dtype=np.int64)
        for row, (windows, index) in enumerate(chosen):
            tokens = windows.tokens(index)
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
            types[row, windows.columns["first"][index] : len(tokens)] = 1
            labels[:, row] = windows.columns["start"][index], windows.columns["end"][index]
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if token_types:
            batch["token_type_ids"] = torch.from_numpy(types)
        return batch | {"start": torch.from_numpy(labels[0]), "end": torch.from_numpy(labels[1])}

    def inputs(self, batch: Batch) -> Batch:
        return {key: value for key, value in batch.items() if key not in ("start", "end")}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the two ends, per window [batch]."""
        cross_entropy = torch.nn.functional.cross_entropy
        masked = batch["attention_mask"] == 0
        start = outputs.start_logits.float().masked_fill(masked, -1e9)
        end = outputs.end_logits.float().masked_fill(masked, -1e9)
        first = cross_entropy(start, batch["start"], reduction="none")
        return (first + cross_entropy(end, batch["end"], reduction="none")) / 2

    def trim(self, outputs: Any, row: int, length: int) -> Sequence[Any]:
        return outputs["start_logits"][row, :length], outputs["end_logits"][row, :length]

    def predict(self, windows: WindowSet, outputs: Mapping[int, Sequence[Any]], settings: WindowSpec) -> list[str]:
        best: dict[int, tuple[float, int, int]] = {}
        for index, (start, end) in outputs.items():
            span = _best_span(
                np.asarray(start),
                np.asarray(end),
                int(windows.columns["first"][index]),
                int(windows.columns["last"][index]),
                settings.max_answer,
            )
            question = int(windows.columns["question"][index])
            if span is not None and (question not in best or span[0] > best[question][0]):
                spans = windows.spans(index)
                best[question] = (span[0], int(spans[span[1], 0]), int(spans[span[2], 1]))
        answers = [""] * windows.num_questions
        for question, (_, begin, stop) in best.items():
            answers[question] = windows.contexts[question].as_py()[begin:stop]
        return answers


NDArrayInt = np.ndarray[Any, np.dtype[np.int32]]


def _best_span(start: Any, end: Any, first: int, last: int, longest: int) -> tuple[float, int, int] | None:
    """The best pair of a start and an end within tokens first..last, of at most `longest` tokens."""
    if last < first:
        return None
    number = last - first + 1
    starts = np.argsort(-start[first : last + 1], kind="stable")[:BEST]
    ends = np.argsort(-end[first : last + 1], kind="stable")[:BEST]
    length = ends[None, :] - starts[:, None] + 1
    scores = start[first + starts][:, None] + end[first + ends][None, :]
    scores = np.where((length >= 1) & (length <= min(longest, number)), scores, -np.inf)
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    if not np.isfinite(scores[row, column]):
        best = int(np.argmax(start[first : last + 1]))
        return float(start[first + best] + end[first + best]), first + best, first + best
    return float(scores[row, column]), first + int(starts[row]), first + int(ends[column])


def _label(question: Question, spans: Any, first: int, last: int) -> tuple[int, int]:
    """First and last token of the first answer, or (0, 0) where the window does not hold all of it."""
    if not question.answers or last < first:
        return 0, 0
    begin = question.answers[0].start
    stop = begin + len(question.answers[0].text)
    if spans[first, 0] > begin or spans[last, 1] < stop:
        return 0, 0
    inside = spans[first : last + 1]
    start = int(np.searchsorted(inside[:, 1], begin, side="right"))
    end = int(np.searchsorted(inside[:, 0], stop, side="left")) - 1
    return first + min(start, len(inside) - 1), first + max(end, start)


def _shortened(questions: list[str], tokenizer: Any, most: int) -> list[str]:
    """Questions cut after `most` tokens."""
    encoded = tokenizer(
        questions, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
    )
    return [
        text if len(spans) <= most else text[: spans[most - 1][1]]
        for text, spans in zip(questions, encoded["offset_mapping"], strict=True)
    ]
