"""Checkpoints in safetensors and JSON, complete or absent.

A checkpoint is a folder. With one head it holds `model.safetensors` and `config.json`, which transformers loads
directly. With several heads it holds `encoder.safetensors` once, and `head-<name>.safetensors`, `config-<name>.json`
and `index-<name>.json` for each head; renamed to transformers' names for sharded models, they load as the head's class.
Each checkpoint also holds `optimizer.safetensors` and `state.json` (position, schedule, randomness, provenance,
evaluations, checksums).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ratio_hpo.core.errors import ResumeError, StorageFullError
from ratio_hpo.core.files import entries, is_disk_full, written_whole

if TYPE_CHECKING:
    import torch

    from ratio_hpo.training.heads import SharedEncoder

OPTIMIZER, CONFIG, STATE = "optimizer.safetensors", "config.json", "state.json"
FORMAT = 6

SEAL = "seal"
"""Key of the checksum of the state."""


@dataclass(frozen=True, slots=True)
class _Past:
    """An evaluation in the state of a checkpoint."""

    step: int
    targets: list[str]
    scores: dict[str, float]
    measures: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Shape:
    """Required entries of the state of a stage, apart from format and seal."""

    heads: list[str]
    checksums: dict[str, str]
    evaluation: str
    evaluations: list[_Past]
    provenance: Any
    seconds: float
    tokens: int
    loss: float
    updates: int
    measures: dict[str, float]
    by_head: dict[str, tuple[float, int]]
    inexact: bool


_SHAPE = TypeAdapter(_Shape)


def save_checkpoint(
    folder: Path,
    model: SharedEncoder,
    heads: Sequence[str],
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
) -> None:
    """Write a complete checkpoint of some heads, replacing an existing one.

    Raises:
        StorageFullError: the disk is full; no partial checkpoint remains.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with written_whole(folder, replace=True) as part:
            part.mkdir()
            files = model.layout(heads)
            for name, tensors in files.items():
                save_file(_detached(tensors), str(part / f"{name}.safetensors"), metadata={"format": "pt"})
            save_file(_optimizer_tensors(model.names(heads), optimizer), str(part / OPTIMIZER))
            for head in heads:
                text = model.heads[head].config.to_json_string()  # type: ignore[operator,union-attr]
                (part / (CONFIG if len(heads) == 1 else f"config-{head}.json")).write_text(text)
                if len(heads) > 1:
                    (part / f"index-{head}.json").write_text(json.dumps(_index(files, head)))
            sums = {path.name: _checksum(path) for path in entries(part)}
            (part / STATE).write_text(_sealed({"format": FORMAT, **state, "heads": list(heads), "checksums": sums}))
    except (OSError, RuntimeError, SafetensorError) as error:
        if is_disk_full(error):
            raise StorageFullError(f"{folder.parent}: the disk is full; free space, or lower `store_gb`") from error
        raise


def update_state(folder: Path, changes: dict[str, Any]) -> None:
    """Update entries of the JSON state of a checkpoint; tensors are not changed."""
    state = {**read_state(folder), **changes}
    with written_whole(folder / STATE) as part:
        part.write_text(_sealed(state))


def read_state(folder: Path) -> dict[str, Any]:
    """Read the JSON state of a checkpoint.

    Raises:
        ResumeError: the state is absent, unreadable, damaged, or in a format of another version.
    """
    try:
        state = json.loads((folder / STATE).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ResumeError(f"{folder}: no readable {STATE}; delete the folder") from error
    if not isinstance(state, dict):
        raise ResumeError(f"{folder}: {STATE} is not a mapping; delete the folder")
    if state.get("format") != FORMAT:
        raise ResumeError(f"{folder}: was written in format {state.get('format')}, not {FORMAT}; delete the folder")
    if state.pop(SEAL, None) != _seal(state):
        raise ResumeError(f"{folder}: {STATE} is damaged (checksum differs); delete the folder")
    return state


def read_stage_state(folder: Path) -> dict[str, Any]:
    """Read the JSON state of a stage's checkpoint, and check that it holds everything needed to continue the stage.

    Raises:
        ResumeError: as `read_state`; or an entry is missing or malformed despite a valid checksum.
    """
    state = read_state(folder)
    try:
        _SHAPE.validate_python(state)
    except ValidationError as error:
        raise ResumeError(f"{folder}: {STATE} has missing or malformed entries; delete the folder") from error
    return state


def load_checkpoint(folder: Path, model: SharedEncoder, optimizer: torch.optim.Optimizer | None) -> None:
    """Load weights and optimiser state after checking their checksums.

    Args:
        folder: folder of the checkpoint.
        model: model that receives the weights.
        optimizer: optimiser that receives its state; None: load only weights.

    Raises:
        ResumeError: a file is missing or damaged.
    """
    from safetensors.torch import load_file

    state = read_state(folder)
    for name, expected in state["checksums"].items():
        if not (folder / name).is_file() or _checksum(folder / name) != expected:
            raise ResumeError(f"{folder / name}: is missing or damaged (checksum differs); delete the folder")
    heads = state["heads"]
    model.put(heads, {name: load_file(str(folder / f"{name}.safetensors")) for name in model.layout(heads)})
    if optimizer is None:
        return
    tensors = load_file(str(folder / OPTIMIZER))
    for name, parameter in model.names(heads).items():
        saved = {
            key: tensors[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in tensors
        }
        if saved:
            moments = {key: value.to(parameter.device) for key, value in saved.items() if key != "step"}
            fused = any(group.get("fused") for group in optimizer.param_groups)
            step = saved["step"].to(parameter.device) if fused else saved["step"]
            optimizer.state[parameter] = {"step": step, **moments}


def _index(files: Mapping[str, Mapping[str, torch.Tensor]], head: str) -> dict[str, Any]:
    """Return transformers' index of a sharded model, which maps each tensor to its file."""
    parts = {name: f"{name}.safetensors" for name in ("encoder", f"head-{head}")}
    size = sum(tensor.numel() * tensor.element_size() for name in parts for tensor in files[name].values())
    return {
        "metadata": {"total_size": size},
        "weight_map": {tensor: file for name, file in parts.items() for tensor in files[name]},
    }


def _sealed(state: dict[str, Any]) -> str:
    """Return the JSON of a state with a checksum, since stored scores are read from it without recomputation."""
    return json.dumps({**state, SEAL: _seal(state)})


def _seal(state: dict[str, Any]) -> str:
    text = json.dumps(json.loads(json.dumps(state)), sort_keys=True)  # normalise to the form that is read back
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _detached(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _optimizer_tensors(
    parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Return AdamW's state by parameter name instead of index, so that other code can read it."""
    return {
        f"{key}.{name}": value.detach().cpu().contiguous()
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
