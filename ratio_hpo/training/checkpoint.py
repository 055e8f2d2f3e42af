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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from ratio_hpo.core.errors import ResumeError, StorageFullError
from ratio_hpo.core.files import entries, is_disk_full, written_whole
from ratio_hpo.training.device import Provenance

if TYPE_CHECKING:
    import torch

    from ratio_hpo.training.heads import SharedEncoder

OPTIMIZER, CONFIG, STATE = "optimizer.safetensors", "config.json", "state.json"
FORMAT = 6

SEAL = "seal"
"""Key of the checksum of the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """An evaluation of a stage: what was scored at a step, by label, the scores, and the measures of training."""

    step: int
    targets: list[str]
    scores: dict[str, float]
    measures: dict[str, float]


@dataclass(slots=True)
class StageMetrics:
    """Running totals of a stage.

    Attributes:
        inexact: whether provenance differed somewhere, so that results may differ in the last bits.
        seconds, tokens: training time and non-padding tokens so far.
        loss, updates: sum and number of the losses since the last evaluation.
        measures: measures at the last stop.
        by_head: numerator and denominator of each head's training measures since the last evaluation, by key such as
            `loss/<head>`.
        evaluations: evaluations so far.
    """

    inexact: bool = False
    seconds: float = 0.0
    tokens: int = 0
    loss: float = 0.0
    updates: int = 0
    measures: dict[str, float] = field(default_factory=dict)
    by_head: dict[str, list[float]] = field(default_factory=dict)
    evaluations: list[Evaluated] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """The JSON state of a stage's checkpoint, apart from its format and seal.

    Attributes:
        stage: name of the stage.
        step: number of updates.
        position: number of windows drawn.
        schedule: name, steps and warm-up of the schedule.
        rng: seed, and the rule of all random draws.
        provenance: everything that may change the last bits of a result.
        inexact, seconds, tokens, loss, updates, measures, by_head, evaluations: see `StageMetrics`.
        evaluation: fingerprint of what the stage is scored on.
        heads: names of the heads in the checkpoint.
        checksums: checksum of each file, added when the checkpoint is written.
    """

    stage: str
    step: int
    position: int
    schedule: dict[str, str | int]
    rng: dict[str, str | int]
    provenance: Provenance
    inexact: bool
    seconds: float
    tokens: int
    loss: float
    updates: int
    measures: dict[str, float]
    by_head: dict[str, list[float]]
    evaluation: str
    evaluations: list[Evaluated]
    heads: list[str]
    checksums: dict[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> StageMetrics:
        """The totals of the stage, to continue from."""
        return StageMetrics(**{entry.name: getattr(self, entry.name) for entry in fields(StageMetrics)})


_STATE = TypeAdapter(StageState)


def save_checkpoint(folder: Path, model: SharedEncoder, optimizer: torch.optim.Optimizer, state: StageState) -> None:
    """Write a complete checkpoint of the heads of a state, replacing an existing one.

    Raises:
        StorageFullError: the disk is full; no partial checkpoint remains.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    heads = state.heads
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
            (part / STATE).write_text(_sealed(replace(state, checksums=sums)))
    except (OSError, RuntimeError, SafetensorError) as error:
        if is_disk_full(error):
            raise StorageFullError(f"{folder.parent}: the disk is full; free space, or lower `store_gb`") from error
        raise


def update_state(folder: Path, state: StageState) -> None:
    """Replace the JSON state of a checkpoint; tensors and their checksums are not changed."""
    checksums = read_state(folder).checksums
    with written_whole(folder / STATE) as part:
        part.write_text(_sealed(replace(state, checksums=checksums)))


def read_state(folder: Path) -> StageState:
    """Read the JSON state of a checkpoint.

    Raises:
        ResumeError: the state is absent, unreadable, damaged, or in a format of another version; or an entry is missing
            or malformed despite a valid checksum.
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
    try:
        return _STATE.validate_python(state)
    except ValidationError as error:
        raise ResumeError(f"{folder}: {STATE} has missing or malformed entries; delete the folder") from error


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
    for name, expected in state.checksums.items():
        if not (folder / name).is_file() or _checksum(folder / name) != expected:
            raise ResumeError(f"{folder / name}: is missing or damaged (checksum differs); delete the folder")
    heads = state.heads
    model.put(heads, {name: load_file(str(folder / f"{name}.safetensors")) for name in model.layout(heads)})
    if optimizer is None:
        return
    tensors = load_file(str(folder / OPTIMIZER))
    for name, parameter in model.names(heads).items():
        keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in tensors]
        if keys:
            fused = any(group.get("fused") for group in optimizer.param_groups)
            optimizer.state[parameter] = {
                key: tensors[f"{key}.{name}"].to("cpu" if key == "step" and not fused else parameter.device)
                for key in keys
            }


def _index(files: Mapping[str, Mapping[str, torch.Tensor]], head: str) -> dict[str, object]:
    """Return transformers' index of a sharded model, which maps each tensor to its file."""
    parts = {name: f"{name}.safetensors" for name in ("encoder", f"head-{head}")}
    size = sum(tensor.numel() * tensor.element_size() for name in parts for tensor in files[name].values())
    return {
        "metadata": {"total_size": size},
        "weight_map": {tensor: file for name, file in parts.items() for tensor in files[name]},
    }


def _sealed(state: StageState) -> str:
    """Return the JSON of a state with a checksum, since stored scores are read from it without recomputation."""
    content = {"format": FORMAT, **asdict(state)}
    return json.dumps({**content, SEAL: _seal(content)})


def _seal(content: dict[str, object]) -> str:
    text = json.dumps(json.loads(json.dumps(content)), sort_keys=True)  # normalise to the form that is read back
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
