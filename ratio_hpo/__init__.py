"""Search for the share of non-reference data to mix into intermediate fine-tuning.

The names in `__all__` are imported on first use: the domains need neither torch nor ray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ratio_hpo.version import __version__ as __version__

if TYPE_CHECKING:
    from ratio_hpo.api import LoadedStudy, confirm, load_study, noise, search
    from ratio_hpo.core.errors import ConfigError, Diverged, RatioHpoError, StudyError
    from ratio_hpo.core.trial import Context, Decision, Params, Progress, TrialRecord
    from ratio_hpo.data.formats import register_format
    from ratio_hpo.data.tasks import register_task
    from ratio_hpo.metrics.registry import register_metric
    from ratio_hpo.pruners.registry import register_pruner
    from ratio_hpo.samplers.optuna_native import MixtureSampler
    from ratio_hpo.samplers.registry import register_sampler
    from ratio_hpo.space import Choice, LogUniform, Ratio, Simplex, Space, Steps, Uniform
    from ratio_hpo.surrogate.trials import Trials

__all__ = [
    "Choice",
    "ConfigError",
    "Context",
    "Decision",
    "Diverged",
    "LoadedStudy",
    "LogUniform",
    "MixtureSampler",
    "Params",
    "Progress",
    "Ratio",
    "RatioHpoError",
    "Simplex",
    "Space",
    "Steps",
    "StudyError",
    "TrialRecord",
    "Trials",
    "Uniform",
    "confirm",
    "load_study",
    "noise",
    "register_format",
    "register_metric",
    "register_pruner",
    "register_sampler",
    "register_task",
    "search",
]

_MODULES = {
    **dict.fromkeys(("Choice", "LogUniform", "Ratio", "Simplex", "Space", "Steps", "Uniform"), "ratio_hpo.space"),
    **dict.fromkeys(("Context", "Decision", "Params", "Progress", "TrialRecord"), "ratio_hpo.core.trial"),
    **dict.fromkeys(("ConfigError", "Diverged", "RatioHpoError", "StudyError"), "ratio_hpo.core.errors"),
    "register_format": "ratio_hpo.data.formats",
    "register_task": "ratio_hpo.data.tasks",
    "MixtureSampler": "ratio_hpo.samplers.optuna_native",
    "Trials": "ratio_hpo.surrogate.trials",
    "register_metric": "ratio_hpo.metrics.registry",
    "register_pruner": "ratio_hpo.pruners.registry",
    "register_sampler": "ratio_hpo.samplers.registry",
    **dict.fromkeys(("LoadedStudy", "confirm", "load_study", "noise", "search"), "ratio_hpo.api"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'ratio_hpo' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
