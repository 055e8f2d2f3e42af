"""Which device, and in which precision."""

from __future__ import annotations


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
