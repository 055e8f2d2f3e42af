"""What the machine is doing, measured at evaluations, under the names that MLflow shows as system metrics."""

from __future__ import annotations

import psutil

MEGABYTE = 1e6


class SystemMeasures:
    """CPU use since the last reading, memory of this process and of the machine, memory of each GPU."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        psutil.cpu_percent()  # the first reading has nothing to compare with

    def read(self) -> dict[str, float]:
        """Percentages, and megabytes."""
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
