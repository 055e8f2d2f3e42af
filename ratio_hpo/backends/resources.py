"""How many trials fit on this machine at once, and what each gets."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

import psutil

from ratio_hpo.core.errors import ConfigError

WORKER_BYTES = 1.2e9
"""Memory of a worker before its model: Python, torch, transformers."""

MAX_DEFAULT_WORKERS = 8


def num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def num_gpus() -> int:
    """GPUs that torch sees."""
    import torch

    return torch.cuda.device_count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the user asked for; None: chosen by what fits.

    Attributes:
        backend: `local`, `ray`, or `auto`: ray where more than one worker fits.
        workers: trials at once.
        cpus, gpus: of each trial; fractions of a GPU let trials share one.
        ray_address: a running cluster (`auto`, or `host:port`).
    """

    backend: Literal["auto", "local", "ray"] = "auto"
    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    ray_address: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.device == "cuda" and not num_gpus():
            raise ConfigError(
                "⟨device⟩ cuda: torch sees no GPU here; install a CUDA build of torch, or use ⟨device⟩ cpu"
            )
        for name, value in (("workers", self.workers), ("cpus_per_trial", self.cpus)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"⟨{name}⟩ needs a number over 0, but got {value}")
        if self.gpus is not None and not 0 <= self.gpus < math.inf:
            raise ConfigError(f"⟨gpus_per_trial⟩ needs a number of 0 or more, but got {self.gpus}")
        if self.backend == "local" and (self.workers or 1) > 1:
            raise ConfigError(
                f"⟨backend⟩ local runs one trial at a time, but ⟨workers⟩ is {self.workers}; use ⟨backend⟩ ray"
            )

    def workers_for(self, model_bytes: int | None) -> int:
        """Trials at once: as asked, or as many as CPUs, GPUs and memory hold.

        Args:
            model_bytes: of the model that each trains; None: not known, which makes it one.
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
        """The backend that `auto` means."""
        if self.backend != "auto":
            return self.backend
        return "ray" if workers > 1 or self.ray_address is not None else "local"

    def threads_for(self, workers: int) -> int:
        """CPU threads of each trial; the same for both backends, so that both compute the same bits."""
        return max(1, int(self.cpus if self.cpus is not None else num_cpus() // workers))

    def gpus_for(self, workers: int) -> float:
        """GPUs to reserve for each trial: as asked, or an equal part of what is there, one at most."""
        if self.gpus is not None:
            return self.gpus
        return min(1.0, num_gpus() / workers) if self.device != "cpu" else 0.0
