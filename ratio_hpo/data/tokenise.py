"""Questions become windows: tokenised once, written whole, found again by what shaped them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ratio_hpo.core.files import remove, written_whole
from ratio_hpo.core.fingerprint import fingerprint, fingerprint_file
from ratio_hpo.data.questions import Question, fingerprint_questions
from ratio_hpo.data.tasks import Task
from ratio_hpo.data.windows import META, QUESTIONS, WINDOWS, WindowSpec

FORMAT = 2


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """A name of all that a fast tokenizer does to text, whatever lengths it was last called with.

    The sides of padding and truncation are the tokenizer's own, beside its rules; only the lengths are the call's.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    lasting = {key: value for key, value in content.items() if key not in ("truncation", "padding")}
    sides = [str(tokenizer.truncation_side), str(tokenizer.padding_side)]
    return fingerprint([lasting, sorted(tokenizer.model_input_names), sides])


def write_windows(questions: Sequence[Question], tokenizer: Any, task: Task, settings: WindowSpec, cache: Path) -> Path:
    """The folder of the windows of `questions`; made if it is not there yet, or not as it was written."""
    key = fingerprint(
        [fingerprint_questions(questions), tokenizer_fingerprint(tokenizer), settings.model_dump(), task.name, FORMAT]
    )
    folder = cache / key
    if is_whole(folder):
        return folder
    remove(folder)
    rows = task.encode(questions, tokenizer, settings)
    texts = {
        "id": pa.array([q.id for q in questions], pa.string()),
        "group": pa.array([q.passage for q in questions], pa.string()),
        "context": pa.array([q.context for q in questions], pa.large_string()),
        "answers": pa.array([[a.text for a in q.answers] for q in questions], pa.list_(pa.string())),
    }
    with written_whole(folder) as part:
        part.mkdir()
        _write(part / WINDOWS, rows)
        _write(part / QUESTIONS, texts)
        meta = {
            "task": task.name,
            "windows": len(rows["question"]),
            "questions": len(questions),
            "sums": {name: fingerprint_file(part / name) for name in (WINDOWS, QUESTIONS)},
            **settings.model_dump(),
        }
        (part / META).write_text(json.dumps(meta, indent=1))
    return folder


def is_whole(folder: Path) -> bool:
    """Whether a window set is there, byte for byte as it was written."""
    try:
        sums = json.loads((folder / META).read_text())["sums"]
        return all(fingerprint_file(folder / name) == sums[name] for name in (WINDOWS, QUESTIONS))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def save_tokenizer(tokenizer: Any, cache: Path) -> Path:
    """The folder of a tokenizer, kept beside weights; made if it is not there yet, or not as it was written."""
    folder = cache / tokenizer_fingerprint(tokenizer)
    sums = folder.with_name(f"{folder.name}.json")  # beside it: what is in the folder goes along with weights
    try:
        if json.loads(sums.read_text()) == _sums_of(folder):
            return folder
    except (OSError, ValueError):
        pass  # none yet, or unreadable: made below
    with written_whole(folder, replace=True) as part:
        tokenizer.save_pretrained(part)
    with written_whole(sums) as part:
        part.write_text(json.dumps(_sums_of(folder)))
    return folder


def _sums_of(folder: Path) -> dict[str, str]:
    return {file.name: fingerprint_file(file) for file in sorted(folder.iterdir())}


def _write(path: Path, columns: dict[str, Any]) -> None:
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=max(len(table), 1))
