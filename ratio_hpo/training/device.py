"""Which device, in which precision, and what of it may change the last bits of a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def resolve_precision(asked: str, device: str) -> str:
    """`bf16` or `fp32`: what `auto` means on a device."""
    import torch

    if asked != "auto":
        return asked
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def resolve_eval_batch(asked: int | None, device: str) -> int:
    """Windows that are scored at once: what none means on a device."""
    return asked or (32 if device == "cpu" else 128)


def default_device() -> str:
    """`cuda` where there is one, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def provenance(device: torch.device) -> dict[str, Any]:
    """Device, its model, threads, the versions and the switches of the libraries that compute.

    Where all of it is equal, a stage that goes on equals one never interrupted, bit for bit.
    """
    import torch

    from ratio_hpo import __version__

    cuda = device.type == "cuda"
    return {
        "device": device.type,
        "model": torch.cuda.get_device_name(device) if cuda else cpu_model(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda) if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "transformers": version("transformers"),
        "ratio-hpo": __version__,
        "flags": {
            "matmul": torch.get_float32_matmul_precision(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "mkldnn": bool(torch.backends.mkldnn.enabled),
            "cudnn.benchmark": bool(torch.backends.cudnn.benchmark),
            "cudnn.deterministic": bool(torch.backends.cudnn.deterministic),
            "cudnn.allow_tf32": bool(torch.backends.cudnn.allow_tf32),
            "sdp": [
                bool(torch.backends.cuda.flash_sdp_enabled()),
                bool(torch.backends.cuda.mem_efficient_sdp_enabled()),
                bool(torch.backends.cuda.math_sdp_enabled()),
            ],
        },
    }


@cache
def cpu_model() -> str:
    """The CPU's name, as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
