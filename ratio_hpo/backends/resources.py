"""Number of concurrent trials and the resources of each."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

import psutil

from ratio_hpo.core.errors import ConfigError

WORKER_BYTES = 1.2e9
"""Memory of a worker without its model, in bytes: Python, torch, transformers."""

MAX_DEFAULT_WORKERS = 8


def num_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def num_gpus() -> int:
    """Return the number of GPUs that torch sees."""
    import torch

    return torch.cuda.device_count()


Backend = Literal["auto", "local", "ray"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Requested resources; None: chosen from what is available.

    Attributes:
        backend: `local`, `ray`, or `auto`: ray if more than one worker fits.
        workers: Number of concurrent trials.
        cpus: CPUs for each trial.
        gpus: GPUs for each trial; with a fraction, trials share a GPU.
        ray_address: A running cluster (`auto`, or `host:port`); None: a local Ray.
        device: `cpu`, `cuda`, …; None: the best available device.
    """

    backend: Backend = "auto"
    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    ray_address: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.device == "cuda" and not num_gpus():
            raise ConfigError(
                "⟨device⟩ cuda: torch finds no GPU on this machine; install a CUDA build of torch, or use ⟨device⟩ cpu"
            )
        for name, value in (("workers", self.workers), ("cpus_per_trial", self.cpus)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"⟨{name}⟩ needs a number greater than 0, but got {value}")
        if self.gpus is not None and not 0 <= self.gpus < math.inf:
            raise ConfigError(f"⟨gpus_per_trial⟩ needs a number >= 0, but got {self.gpus}")
        if self.backend == "local" and (self.workers or 1) > 1:
            raise ConfigError(
                f"⟨backend⟩ local runs one trial at a time, but ⟨workers⟩ is {self.workers}; use ⟨backend⟩ ray"
            )

    def workers_for(self, model_bytes: int | None) -> int:
        """Return the number of concurrent trials: as requested, or as many as CPUs, GPUs and memory allow.

        Args:
            model_bytes: Size of the trained model in bytes; None: unknown, which gives one worker.
        """
        if self.workers is not None:
            return self.workers
        if self.backend == "local" or model_bytes is None:
            return 1
        if self.ray_address is not None:
            return MAX_DEFAULT_WORKERS
        gpus = num_gpus() if self.device != "cpu" else 0
        if gpus:
            return max(1, int(gpus / (self.gpus or 1.0)))
        fits = int(psutil.virtual_memory().available / (WORKER_BYTES + 3 * model_bytes))
        return max(1, min(int(num_cpus() / (self.cpus or 1)), fits, MAX_DEFAULT_WORKERS))

    def backend_for(self, workers: int) -> str:
        """Return the backend, with `auto` resolved."""
        if self.backend != "auto":
            return self.backend
        return "ray" if workers > 1 or self.ray_address is not None else "local"

    def threads_for(self, workers: int) -> int:
        """Return the number of CPU threads of each trial; equal for both backends, for bitwise equal results."""
        return max(1, int(self.cpus if self.cpus is not None else num_cpus() // workers))

    def gpus_for(self, workers: int) -> float:
        """Return the number of GPUs for each trial: as requested, or an equal part of all GPUs, at most one."""
        if self.gpus is not None:
            return self.gpus
        return min(1.0, num_gpus() / workers) if self.device != "cpu" else 0.0
