"""Tokenise examples into windows, cached on disk under a fingerprint of their inputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ratio_hpo.core.files import entries, remove, written_whole
from ratio_hpo.core.fingerprint import fingerprint, fingerprint_file
from ratio_hpo.data.examples import Example, fingerprint_examples
from ratio_hpo.data.tasks import Task
from ratio_hpo.data.windows import ITEMS, META, WINDOWS, arrow_columns, write_columns

FORMAT = 4


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Return the fingerprint of a fast tokenizer, independent of the lengths of its last call.

    The sides of padding and truncation belong to the tokenizer, like its rules; only the lengths belong to a call.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    lasting = {key: value for key, value in content.items() if key not in ("truncation", "padding")}
    sides = [str(tokenizer.truncation_side), str(tokenizer.padding_side)]
    return fingerprint([lasting, sorted(tokenizer.model_input_names), sides])


def write_windows(
    examples: Sequence[Example],
    tokenizer: Any,
    task: Task,
    identity: Sequence[object],
    cache: Path,
    making: Callable[[], None] = lambda: None,
) -> Path:
    """Return the folder with the windows of examples; write it if it is missing or damaged.

    Args:
        identity: other inputs that shape the windows: the task, its settings and labels.
        making: called before the windows are written.
    """
    names = [[example.id, example.group] for example in examples]
    key = fingerprint([fingerprint_examples(examples), names, tokenizer_fingerprint(tokenizer), list(identity), FORMAT])
    folder = cache / key
    if is_whole(folder):
        return folder
    remove(folder)
    making()
    rows = task.encode(examples, tokenizer)
    items = {
        "id": pa.array([example.id for example in examples], pa.string()),
        "group": pa.array([example.group for example in examples], pa.string()),
        "texts": pa.array(
            [json.dumps(task.describe(example), ensure_ascii=False) for example in examples], pa.large_string()
        ),
    }
    with written_whole(folder) as part:
        part.mkdir()
        write_columns(part / WINDOWS, arrow_columns(rows))
        write_columns(part / ITEMS, items)
        meta = {
            "task": list(identity),
            "windows": len(rows["item"]),
            "items": len(examples),
            "sums": {name: fingerprint_file(part / name) for name in (WINDOWS, ITEMS)},
        }
        (part / META).write_text(json.dumps(meta, indent=1))
    return folder


def is_whole(folder: Path) -> bool:
    """Return whether a window set exists and all its files have their recorded checksums."""
    try:
        sums = json.loads((folder / META).read_text())["sums"]
        return all(fingerprint_file(folder / name) == sums[name] for name in (WINDOWS, ITEMS))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def save_tokenizer(tokenizer: Any, cache: Path) -> Path:
    """Return the folder of a tokenizer, which is kept with weights; write it if it is missing or damaged."""
    folder = cache / tokenizer_fingerprint(tokenizer)
    sums = folder.with_name(f"{folder.name}.json")  # outside the folder, whose whole content is copied with weights
    try:
        if json.loads(sums.read_text()) == _sums_of(folder):
            return folder
    except (OSError, ValueError):
        pass  # missing or unreadable: written below
    with written_whole(folder, replace=True) as part:
        tokenizer.save_pretrained(part)
    with written_whole(sums) as part:
        part.write_text(json.dumps(_sums_of(folder)))
    return folder


def _sums_of(folder: Path) -> dict[str, str]:
    return {file.name: fingerprint_file(file) for file in entries(folder)}
