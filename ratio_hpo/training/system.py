"""System metrics measured at evaluations, under MLflow's names for system metrics."""

from __future__ import annotations

import psutil

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
