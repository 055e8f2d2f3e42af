"""Extractive question answering: a span of the passage, found by its first and its last token.

A question that its passage does not answer has the first token as its label, as Devlin et al. 2019 train SQuAD 2.0;
under the metric `squad2` the answer is none where that scores `null_threshold` more than the best span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ratio_hpo.data.examples import Question
from ratio_hpo.data.offsets import covered, trimmed, with_marks
from ratio_hpo.data.tasks.base import Batch, Common, Drawn, Scores, Vocabulary
from ratio_hpo.data.tasks.items import item_scores
from ratio_hpo.data.tasks.rows import model_inputs, padded, row_columns, rows_of
from ratio_hpo.data.tasks.settings import WindowSpec
from ratio_hpo.data.windows import WindowSet
from ratio_hpo.metrics import mlqa, squad, squad2

BEST = 20
"""Candidate starts and ends of a window that decoding pairs (as in Devlin et al. 2019's run_squad)."""

CHUNK = 1000

SCORERS: dict[str, Callable[[str, Sequence[str], str], squad.Score]] = {
    "squad": squad.score,
    "mlqa": mlqa.score,
    "squad2": squad2.score,
}
"""How answers are scored, by the name that `metric` takes."""


class QuestionAnswering(Common):
    """Sliding windows over passages; the label is the answer's span, or the first token where it is cut off."""

    name = "qa"

    def __init__(self, settings: WindowSpec, labels: tuple[str, ...], options: str = "") -> None:
        self.settings, self.metric = settings, options or "squad"

    def encode(self, examples: Sequence[Question], tokenizer: Any) -> dict[str, Any]:
        ids: list[NDArrayInt] = []
        offsets: list[NDArrayInt] = []
        rows: dict[str, list[int]] = {key: [] for key in ("item", "first", "last", "start", "end")}
        for begin in range(0, len(examples), CHUNK):
            part = examples[begin : begin + CHUNK]
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
                [k for k, of in enumerate(encoded.sequence_ids(window)) if of == 1] for window in range(len(samples))
            ]
            all_spans = [np.asarray(spans, dtype=np.int32) for spans in encoded["offset_mapping"]]
            named = _named(part, samples, all_spans, inside)
            for k, sample in enumerate(samples):
                spans = all_spans[k]
                first, last = (inside[k][0], inside[k][-1]) if inside[k] else (0, -1)
                start, end = _label(part[sample], spans, first, last, named[sample])
                spans[inside[k], 1] = with_marks(part[sample].context, spans[inside[k], 1], named[sample])
                ids.append(np.asarray(encoded["input_ids"][k], dtype=np.int32))
                offsets.append(spans.reshape(-1))
                values = (begin + sample, first, last, start, end)
                for key, value in zip(rows, values, strict=True):
                    rows[key].append(value)
        columns = row_columns(ids, rows.pop("item"))
        columns["offsets"] = pa.array(offsets, pa.list_(pa.int32()))
        return columns | {key: pa.array(values, pa.int32()) for key, values in rows.items()}

    def describe(self, example: Question) -> Any:
        return {"context": example.context, "answers": [answer.text for answer in example.answers]}

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        firsts = [int(drawn.windows.columns["first"][drawn.index]) for drawn in chosen]
        labels = {
            key: torch.tensor([int(drawn.windows.columns[key][drawn.index]) for drawn in chosen])
            for key in ("start", "end")
        }
        return padded(rows_of(chosen), vocabulary, firsts) | labels

    def inputs(self, batch: Batch) -> Batch:
        return model_inputs(batch)

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the two ends, per window [batch]."""
        cross_entropy = torch.nn.functional.cross_entropy
        masked = batch["attention_mask"] == 0
        start = outputs.start_logits.float().masked_fill(masked, -1e9)
        end = outputs.end_logits.float().masked_fill(masked, -1e9)
        first = cross_entropy(start, batch["start"], reduction="none")
        return (first + cross_entropy(end, batch["end"], reduction="none")) / 2

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        return {"start": outputs.start_logits.float(), "end": outputs.end_logits.float()}

    def predict(self, windows: WindowSet, outputs: Mapping[int, Any]) -> list[str]:
        """The answer to each question, in the order of the data."""
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
            if self.metric != "squad2" or null[question] - score <= self.settings.null_threshold:
                answers[question] = windows.text(question)["context"][begin:stop].strip()  # a token may name its blank
        return answers

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        golds = [windows.text(item)["answers"] for item in range(windows.num_items)]
        each = squad.question_scores(self.predict(windows, outputs), golds, language, SCORERS[self.metric])
        f1, exact = zip(*each, strict=True)
        return [item_scores(windows, language, split, f1=f1, em=exact)]


NDArrayInt = np.ndarray[Any, np.dtype[np.int32]]
NDArrayBool = np.ndarray[Any, np.dtype[np.bool_]]


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


def _named(
    questions: Sequence[Question], samples: Sequence[int], spans: Sequence[NDArrayInt], inside: Sequence[list[int]]
) -> list[NDArrayBool]:
    """Which characters of each passage some token of any of its windows names."""
    found: list[list[NDArrayInt]] = [[] for _ in questions]
    for sample, window, places in zip(samples, spans, inside, strict=True):
        found[sample].append(window[places])
    return [
        covered(np.concatenate([*windows, np.zeros((0, 2), np.int32)]), len(question.context))
        for question, windows in zip(questions, found, strict=True)
    ]


def _label(question: Question, spans: Any, first: int, last: int, named: NDArrayBool) -> tuple[int, int]:
    """First and last token of the first answer, or (0, 0) where the window does not hold all of it.

    Args:
        named: which characters of the passage some token names; the others do not count for the answer.
    """
    if not question.answers or last < first:
        return 0, 0
    answer = question.answers[0]
    begin, stop = trimmed(question.context, answer.start, answer.start + len(answer.text), named)
    if begin == stop or spans[first, 0] > begin or spans[last, 1] < stop:
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
        text if len(spans) <= most else text[: _stop(text, spans, most)]
        for text, spans in zip(questions, encoded["offset_mapping"], strict=True)
    ]


def _stop(text: str, spans: Sequence[tuple[int, int]], most: int) -> int:
    """The character after the first `most` tokens, and after the marks on their last character."""
    each = np.asarray(spans)
    return int(with_marks(text, each[most - 1 : most, 1], covered(each, len(text)))[0])
