"""Questions become windows: tokenised once, written whole, found again by what shaped them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.questions import Question, fingerprint_questions
from ratio_hpo.data.tasks import Task
from ratio_hpo.data.windows import META, QUESTIONS, WINDOWS, WindowSpec


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """A name of all that a fast tokenizer does to text, whatever lengths it was last called with."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    lasting = {key: value for key, value in content.items() if key not in ("truncation", "padding")}
    return fingerprint([lasting, sorted(tokenizer.model_input_names)])


def write_windows(questions: Sequence[Question], tokenizer: Any, task: Task, settings: WindowSpec, cache: Path) -> Path:
    """The folder of the windows of `questions`; made if it is not there yet."""
    key = fingerprint(
        [fingerprint_questions(questions), tokenizer_fingerprint(tokenizer), settings.model_dump(), task.name, 1]
    )
    folder = cache / key
    if (folder / META).is_file():
        return folder
    rows = task.encode(questions, tokenizer, settings)
    temporary = cache / f".{key}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    _write(temporary / WINDOWS, rows)
    texts = {
        "id": pa.array([q.id for q in questions], pa.string()),
        "context": pa.array([q.context for q in questions], pa.large_string()),
        "answers": pa.array([[a.text for a in q.answers] for q in questions], pa.list_(pa.string())),
    }
    _write(temporary / QUESTIONS, texts)
    meta = {"task": task.name, "windows": len(rows["question"]), "questions": len(questions), **settings.model_dump()}
    (temporary / META).write_text(json.dumps(meta, indent=1))
    try:
        temporary.rename(folder)
    except OSError:  # another process has just finished the same set
        shutil.rmtree(temporary, ignore_errors=True)
        if not (folder / META).is_file():
            raise
    return folder


def _write(path: Path, columns: dict[str, Any]) -> None:
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=max(len(table), 1))
