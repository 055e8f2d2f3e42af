"""Checkpoints: safetensors and JSON, complete or absent.

A checkpoint is a folder. Of one head it holds `model.safetensors` and `config.json`, which transformers loads as they
are. Of several it holds `encoder.safetensors` once, and of each head `head-<name>.safetensors`, `config-<name>.json`
and `index-<name>.json`: under the names that transformers gives to a model in parts they load as that head's class.
Beside them `optimizer.safetensors` and `state.json` (position, schedule, randomness, provenance, evaluations,
checksums).
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
from ratio_hpo.core.files import is_disk_full, written_whole

if TYPE_CHECKING:
    import torch

    from ratio_hpo.training.heads import SharedEncoder

OPTIMIZER, CONFIG, STATE = "optimizer.safetensors", "config.json", "state.json"
FORMAT = 6

SEAL = "seal"
"""Key of the checksum of the state itself."""


@dataclass(frozen=True, slots=True)
class _Past:
    """An evaluation, as a state holds it."""

    step: int
    targets: list[str]
    scores: dict[str, float]
    measures: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the state of a stage holds beside its format and its seal."""

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
    """Write a checkpoint of some heads whole, in the place of one that is there.

    Raises:
        StorageFullError: the disk is full; nothing half-written remains.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with written_whole(folder, replace=True) as part:
            part.mkdir()
            files = model.layout(heads)
            for name, tensors in files.items():
                save_file(_apart(tensors), str(part / f"{name}.safetensors"), metadata={"format": "pt"})
            save_file(_optimizer_tensors(model.names(heads), optimizer), str(part / OPTIMIZER))
            for head in heads:
                text = model.heads[head].config.to_json_string()  # type: ignore[operator,union-attr]
                (part / (CONFIG if len(heads) == 1 else f"config-{head}.json")).write_text(text)
                if len(heads) > 1:
                    (part / f"index-{head}.json").write_text(json.dumps(_index(files, head)))
            sums = {path.name: _checksum(path) for path in sorted(part.glob("*.safetensors"))}
            (part / STATE).write_text(_sealed({"format": FORMAT, **state, "heads": list(heads), "checksums": sums}))
    except (OSError, RuntimeError, SafetensorError) as error:
        if is_disk_full(error):
            raise StorageFullError(f"{folder.parent}: the disk is full; free space, or lower `store_gb`") from error
        raise


def update_state(folder: Path, changes: dict[str, Any]) -> None:
    """Change entries of the JSON part of a checkpoint; its tensors stay."""
    state = {**read_state(folder), **changes}
    with written_whole(folder / STATE) as part:
        part.write_text(_sealed(state))


def read_state(folder: Path) -> dict[str, Any]:
    """The JSON part.

    Raises:
        ResumeError: absent, unreadable, not as it was written, or of a format that this version does not know.
    """
    try:
        state = json.loads((folder / STATE).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ResumeError(f"{folder}: no readable {STATE}; delete the folder") from error
    if not isinstance(state, dict):
        raise ResumeError(f"{folder}: {STATE} is no mapping; delete the folder")
    if state.get("format") != FORMAT:
        raise ResumeError(f"{folder}: was written in format {state.get('format')}, not {FORMAT}; delete the folder")
    if state.pop(SEAL, None) != _seal(state):
        raise ResumeError(f"{folder}: {STATE} is not as it was written (checksum differs); delete the folder")
    return state


def read_stage_state(folder: Path) -> dict[str, Any]:
    """The JSON part of a stage's checkpoint, with all that going on from there needs.

    Raises:
        ResumeError: as `read_state`; or it lacks something, or holds it in another shape: anybody can make a seal.
    """
    state = read_state(folder)
    try:
        _SHAPE.validate_python(state)
    except ValidationError as error:
        raise ResumeError(f"{folder}: {STATE} does not hold what a stage needs; delete the folder") from error
    return state


def load_checkpoint(folder: Path, model: SharedEncoder, optimizer: torch.optim.Optimizer | None) -> None:
    """Put weights and optimiser state back, after checking their checksums.

    Args:
        optimizer: None: weights alone.

    Raises:
        ResumeError: a file is absent or its bytes are not those that were written.
    """
    from safetensors.torch import load_file

    state = read_state(folder)
    for name, expected in state["checksums"].items():
        if not (folder / name).is_file() or _checksum(folder / name) != expected:
            raise ResumeError(f"{folder / name}: is absent or damaged (checksum differs); delete the folder")
    heads = state["heads"]
    model.put(heads, {name: load_file(str(folder / f"{name}.safetensors")) for name in model.layout(heads)})
    if optimizer is None:
        return
    tensors = load_file(str(folder / OPTIMIZER))
    for name, parameter in model.names(heads).items():
        kept = {
            key: tensors[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in tensors
        }
        if kept:
            moved = {key: value.to(parameter.device) for key, value in kept.items() if key != "step"}
            fused = any(group.get("fused") for group in optimizer.param_groups)
            step = kept["step"].to(parameter.device) if fused else kept["step"]
            optimizer.state[parameter] = {"step": step, **moved}


def _index(files: Mapping[str, Mapping[str, torch.Tensor]], head: str) -> dict[str, Any]:
    """What transformers wants to know of a model in parts: which file holds which tensor."""
    parts = {name: f"{name}.safetensors" for name in ("encoder", f"head-{head}")}
    size = sum(tensor.numel() * tensor.element_size() for name in parts for tensor in files[name].values())
    return {
        "metadata": {"total_size": size},
        "weight_map": {tensor: file for name, file in parts.items() for tensor in files[name]},
    }


def _sealed(state: dict[str, Any]) -> str:
    """The JSON of a state with a checksum of it: scores are read from it as they are from the storage."""
    return json.dumps({**state, SEAL: _seal(state)})


def _seal(state: dict[str, Any]) -> str:
    text = json.dumps(json.loads(json.dumps(state)), sort_keys=True)  # as it is read back
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _optimizer_tensors(
    parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """AdamW's state by parameter name rather than by number, so that it can be read elsewhere."""
    return {
        f"{key}.{name}": value.detach().cpu().contiguous()
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
