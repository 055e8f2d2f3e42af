"""Where and how the engine computes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ratio_hpo.core.config import Spec, Whole


class EngineSettings(Spec):
    """None of it but the precision is meant to change what comes out.

    Attributes:
        precision: `auto` takes bf16 where the device has it; it is part of a stage's identity.
        micro_batch: windows that go through the model at once; None: the whole batch.
        eval_batch: windows that are evaluated at once.
    """

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    micro_batch: Whole | None = Field(default=None, ge=1)
    eval_batch: Whole = Field(default=128, ge=1)


def resolve_precision(asked: str, device: str) -> str:
    """`bf16` or `fp32`: what `auto` means on a device."""
    import torch

    if asked != "auto":
        return asked
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def default_device() -> str:
    """`cuda` where there is one, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
