"""Which parameters a space may vary, and what part of which stage each of them is."""

from __future__ import annotations

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.data.mixing import SPREADS
from ratio_hpo.space import Domain, LogUniform, Ratio, Simplex, Space, Steps, Uniform
from ratio_hpo.training.schedule import SCHEDULES
from ratio_hpo.training.spec import StagesSpec

INTERMEDIATE, TARGET = "intermediate", "target"

PARAMETERS = {
    "learning_rate": (INTERMEDIATE, "learning_rate"),
    "intermediate_steps": (INTERMEDIATE, "steps"),
    "warmup": (INTERMEDIATE, "warmup"),
    "weight_decay": (INTERMEDIATE, "weight_decay"),
    "schedule": (INTERMEDIATE, "schedule"),
    "temperature": (INTERMEDIATE, "temperature"),
    "spread": (INTERMEDIATE, "spread"),
    "target_learning_rate": (TARGET, "learning_rate"),
    "target_steps": (TARGET, "steps"),
    "target_warmup": (TARGET, "warmup"),
    "target_weight_decay": (TARGET, "weight_decay"),
    "target_schedule": (TARGET, "schedule"),
}
"""Parameters that a space may vary beside `ratio` and `shares`: the stage that they belong to, and its key."""

WHOLE_NUMBERS = frozenset({"steps", "warmup"})

OPTIONS = {"schedule": list(SCHEDULES), "spread": list(SPREADS)}


def reference_values(stages: StagesSpec) -> dict[str, float]:
    """The experiment's value of each scale-bearing parameter."""
    values = {name: getattr(getattr(stages, stage), key) for name, (stage, key) in PARAMETERS.items()}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def check_parameters(space: Space, stages: StagesSpec) -> None:
    """Refuse parameters that the built-in objective has no use for, and domains that they cannot have.

    Raises:
        ConfigError: one line each.
    """
    lines = [
        f"{space.source}: parameters.{name}: {problem}"
        for name, domain in space.parameters.items()
        if (problem := _problem(name, domain, stages)) is not None
    ]
    if lines:
        raise ConfigError(*lines)


def _problem(name: str, domain: Domain, stages: StagesSpec) -> str | None:
    known = ["ratio", "shares", *PARAMETERS]
    if name not in known:
        return f"no parameter of this objective ({did_you_mean(name, known)})"
    wanted = {"ratio": Ratio, "shares": Simplex}.get(name)
    if wanted is not None:
        return None if isinstance(domain, wanted) else f"needs type {name.replace('shares', 'simplex')}; correct it"
    stage, key = PARAMETERS[name]
    if key in OPTIONS:
        bad = [option for option in getattr(domain, "options", [None]) if option not in OPTIONS[key]]
        return f"needs a choice of {', '.join(OPTIONS[key])}; correct it" if bad else None
    if key in WHOLE_NUMBERS:
        if not isinstance(domain, Steps):
            return "needs type steps, since steps are whole numbers on a grid; correct it"
        if getattr(getattr(stages, stage), key) == 0 and not domain.absolute:
            return f"holds factors of {key} 0; say `absolute: true`, or give stages.{stage}.{key} a value"
        return None
    if not isinstance(domain, Uniform | LogUniform):
        return "needs type log_uniform or uniform; correct it"
    low = domain.low * (1.0 if domain.absolute else getattr(getattr(stages, stage), key))
    least = 1.0 if key == "temperature" else 0.0
    return f"needs values of {least:g} or more, but low comes to {low:g}; raise it" if low < least else None
