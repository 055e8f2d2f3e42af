"""Token windows on disk: tokenised once, memory-mapped Arrow, shared by all workers of a machine.

A window set is a folder named by what shaped it: data, tokenizer, window settings and task. It is written to a
temporary name and renamed, so a half-written one is never seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ratio_hpo.core.config import Spec, Whole

SPECIAL_TOKENS = 4
WINDOWS, QUESTIONS, META = "windows.arrow", "questions.arrow", "meta.json"


class WindowSpec(Spec):
    """How text is cut."""

    max_length: Whole = Field(default=384, ge=16)
    """Tokens of a window at most, special ones included; no more than the base has positions for."""

    stride: Whole = Field(default=128, ge=0)
    """Tokens that neighbouring windows of a passage share."""

    max_question: Whole = Field(default=64, ge=1)
    """Tokens of a question at most; the rest is cut off. No more than half a window."""

    max_answer: Whole = Field(default=30, ge=1)
    """Tokens of an answer at most, in decoding."""

    @model_validator(mode="after")
    def _passage_fits(self) -> WindowSpec:
        question = min(self.max_question, self.max_length // 2)
        room = self.max_length - question - SPECIAL_TOKENS
        if self.stride >= room:
            raise ValueError(
                f"stride needs to be under max_length less question and special tokens ({room}), "
                f"but got {self.stride}; lower it"
            )
        return self

    @property
    def question_tokens(self) -> int:
        """Tokens of a question at most: no more than half a window."""
        return min(self.max_question, self.max_length // 2)


@dataclass(frozen=True, slots=True)
class WindowSet:
    """Windows of one set of questions, memory-mapped.

    Attributes:
        ids: token ids of all windows, flat [tokens]; window i is ids[bounds[i]:bounds[i + 1]].
        columns: one integer a window [windows]: `question`, and what the task added.
        offsets: character span in the passage of each token [tokens, 2].
        groups: what a bootstrap must not cut, of each question: its passage.
        gold: answers of each question.
    """

    folder: str
    ids: NDArray[np.int32]
    bounds: NDArray[np.int64]
    columns: dict[str, NDArray[np.int32]]
    offsets: NDArray[np.int32]
    question_ids: list[str]
    groups: list[str]
    contexts: pa.Array
    gold: pa.Array

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def num_questions(self) -> int:
        return len(self.question_ids)

    @property
    def num_tokens(self) -> int:
        return len(self.ids)

    def length(self, index: int) -> int:
        return int(self.bounds[index + 1] - self.bounds[index])

    def lengths(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of each of some windows [n]."""
        return self.bounds[indices + 1] - self.bounds[indices]

    def tokens(self, index: int) -> NDArray[np.int32]:
        return self.ids[self.bounds[index] : self.bounds[index + 1]]

    def spans(self, index: int) -> NDArray[np.int32]:
        return self.offsets[self.bounds[index] : self.bounds[index + 1]]


def open_windows(folder: Path | str) -> WindowSet:
    """Memory-map a window set."""
    folder = Path(folder)
    rows, texts = _read(folder / WINDOWS), _read(folder / QUESTIONS)
    lists = _single(rows, "input_ids")
    columns = {
        name: _single(rows, name).to_numpy(zero_copy_only=True)
        for name in rows.column_names
        if name not in ("input_ids", "offsets")
    }
    return WindowSet(
        folder=str(folder),
        ids=lists.values.to_numpy(zero_copy_only=True),
        bounds=lists.offsets.to_numpy(zero_copy_only=True).astype(np.int64),
        columns=columns,
        offsets=_single(rows, "offsets").values.to_numpy(zero_copy_only=True).reshape(-1, 2),
        question_ids=_single(texts, "id").to_pylist(),
        groups=_single(texts, "group").to_pylist(),
        contexts=_single(texts, "context"),
        gold=_single(texts, "answers"),
    )


def _read(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _single(table: pa.Table, name: str) -> Any:
    chunks = table.column(name).chunks
    return chunks[0] if chunks else pa.array([], table.schema.field(name).type)
