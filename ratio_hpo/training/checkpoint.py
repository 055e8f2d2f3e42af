"""Checkpoints: safetensors and JSON, complete or absent.

A checkpoint is a folder with `model.safetensors` and `config.json` (loadable by transformers as they are),
`optimizer.safetensors` and `state.json` (position, schedule, randomness, provenance, evaluations, checksums).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratio_hpo.core.errors import ResumeError, StorageFullError
from ratio_hpo.core.files import written_whole

if TYPE_CHECKING:
    import torch

WEIGHTS, OPTIMIZER, CONFIG, STATE = "model.safetensors", "optimizer.safetensors", "config.json", "state.json"
FORMAT = 3

SEAL = "seal"
"""Key of the checksum of the state itself."""


def save_checkpoint(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write a checkpoint whole, in the place of one that is there.

    Raises:
        StorageFullError: the disk is full; nothing half-written remains.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with written_whole(folder, replace=True) as part:
            part.mkdir()
            save_file(_tensors(model.state_dict()), str(part / WEIGHTS), metadata={"format": "pt"})
            save_file(_optimizer_tensors(model, optimizer), str(part / OPTIMIZER))
            (part / CONFIG).write_text(model.config.to_json_string())  # type: ignore[union-attr,operator]
            sums = {name: _checksum(part / name) for name in (WEIGHTS, OPTIMIZER)}
            (part / STATE).write_text(_sealed({"format": FORMAT, **state, "checksums": sums}))
    except (OSError, RuntimeError, SafetensorError) as error:
        if "No space left" in str(error) or getattr(error, "errno", None) == 28:
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
    except (OSError, ValueError) as error:
        raise ResumeError(f"{folder}: no readable {STATE}; delete the folder") from error
    if state.get("format") != FORMAT:
        raise ResumeError(f"{folder}: was written in format {state.get('format')}, not {FORMAT}; delete the folder")
    if state.pop(SEAL, None) != _seal(state):
        raise ResumeError(f"{folder}: {STATE} is not as it was written (checksum differs); delete the folder")
    return state


def load_checkpoint(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights and optimiser state back, after checking their checksums.

    Raises:
        ResumeError: a file is absent or its bytes are not those that were written.
    """
    from safetensors.torch import load_file

    sums = read_state(folder)["checksums"]
    for name, expected in sums.items():
        if not (folder / name).is_file() or _checksum(folder / name) != expected:
            raise ResumeError(f"{folder / name}: is absent or damaged (checksum differs); delete the folder")
    model.load_state_dict(load_file(str(folder / WEIGHTS)))
    tensors = load_file(str(folder / OPTIMIZER))
    for name, parameter in model.named_parameters():
        kept = {
            key: tensors[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in tensors
        }
        if kept:
            moved = {key: value.to(parameter.device) for key, value in kept.items() if key != "step"}
            fused = any(group.get("fused") for group in optimizer.param_groups)
            step = kept["step"].to(parameter.device) if fused else kept["step"]
            optimizer.state[parameter] = {"step": step, **moved}


def _sealed(state: dict[str, Any]) -> str:
    """The JSON of a state with a checksum of it: scores are read from it as they are from the storage."""
    return json.dumps({**state, SEAL: _seal(state)})


def _seal(state: dict[str, Any]) -> str:
    text = json.dumps(json.loads(json.dumps(state)), sort_keys=True)  # as it is read back
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _tensors(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}


def _optimizer_tensors(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """AdamW's state by parameter name rather than by number, so that it can be read elsewhere."""
    return {
        f"{key}.{name}": value.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
