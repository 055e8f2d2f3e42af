"""Devices, precision, and the provenance that may change the last bits of a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch


def resolve_precision(asked: str, device: str) -> str:
    """Return `bf16` or `fp32`, resolving `auto` for a device."""
    import torch

    if asked != "auto":
        return asked
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def resolve_eval_batch(asked: int | None, device: str) -> int:
    """Return the number of windows scored at once, resolving None for a device."""
    return asked or (32 if device == "cpu" else 128)


def default_device() -> str:
    """Return `cuda` if available, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


Provenance = dict[str, str | int | dict[str, str | bool | list[bool]] | None]
"""Device, versions and switches by name; see `provenance`."""


def provenance(device: torch.device) -> Provenance:
    """Return the device, its model, threads, and the versions and switches of the numerical libraries.

    With equal provenance, a resumed stage equals an uninterrupted one bit for bit.
    """
    import torch

    from ratio_hpo.version import __version__

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
    """Return the CPU's model name as reported by the kernel."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


MEGABYTE = 1e6


class SystemMeasures:
    """Reader of CPU use since the last reading, and of the memory of this process, the machine and each GPU."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        psutil.cpu_percent()  # start the interval of the first reading

    def read(self) -> dict[str, float]:
        """Return the metrics in percent and megabytes."""
        memory = psutil.virtual_memory()
        values = {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": memory.used / MEGABYTE,
            "system/system_memory_usage_percentage": memory.percent,
            "system/process_memory_usage_megabytes": self._process.memory_info().rss / MEGABYTE,
        }
        return {**values, **_gpu_memory()}


def _gpu_memory() -> dict[str, float]:
    import torch

    values = {}
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        values[f"system/gpu_{index}_memory_usage_megabytes"] = (total - free) / MEGABYTE
        values[f"system/gpu_{index}_memory_usage_percentage"] = 100.0 * (total - free) / total
    return values
