"""Which parameters a space may vary, and what part of which stage each of them is."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

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


def check_names(space: Space) -> None:
    """Refuse parameters that the built-in objective has no use for, whatever the experiment.

    Raises:
        ConfigError: one line each.
    """
    _refuse(space, {name: _misfit(name, domain) for name, domain in space.parameters.items()})


def check_parameters(space: Space, stages: StagesSpec) -> None:
    """Refuse parameters that the built-in objective has no use for, and domains that they cannot have.

    Raises:
        ConfigError: one line each.
    """
    problems = {
        name: _misfit(name, domain) or _out_of_range(name, domain, stages) for name, domain in space.parameters.items()
    }
    _refuse(space, problems)


def _refuse(space: Space, problems: Mapping[str, str | None]) -> None:
    lines = [f"{space.source}: parameters.{name}: {problem}" for name, problem in problems.items() if problem]
    if lines:
        raise ConfigError(*lines)


def _misfit(name: str, domain: Domain) -> str | None:
    """Why a parameter of this name, or with such a domain, is of no use; None: it is."""
    known = ["ratio", "shares", *PARAMETERS]
    if name not in known:
        return f"no parameter of the built-in objective ({did_you_mean(name, known)}){_odd_letters(name)}"
    wanted = {"ratio": Ratio, "shares": Simplex}.get(name)
    if wanted is not None:
        return None if isinstance(domain, wanted) else f"needs type {name.replace('shares', 'simplex')}; correct it"
    _, key = PARAMETERS[name]
    if key in OPTIONS:
        bad = [option for option in getattr(domain, "options", [None]) if option not in OPTIONS[key]]
        if not bad:
            return None
        got = "" if bad == [None] else f", but got {bad[0]!r}"
        return f"needs a choice of {', '.join(OPTIONS[key])}{got}; correct it"
    if key in WHOLE_NUMBERS:
        return (
            None
            if isinstance(domain, Steps)
            else "needs type steps, since steps are whole numbers on a grid; correct it"
        )
    return None if isinstance(domain, Uniform | LogUniform) else "needs type log_uniform or uniform; correct it"


def _out_of_range(name: str, domain: Domain, stages: StagesSpec) -> str | None:
    """Why the domain comes to impossible values in an experiment; None: it does not."""
    if name not in PARAMETERS:
        return None
    stage, key = PARAMETERS[name]
    reference = getattr(getattr(stages, stage), key)
    if isinstance(domain, Steps) and reference == 0 and not domain.absolute:
        return f"holds factors of {key} 0; say `absolute: true`, or give stages.{stage}.{key} a value"
    if isinstance(domain, Uniform | LogUniform):
        low = domain.low * (1.0 if domain.absolute else reference)
        least = 1.0 if key == "temperature" else 0.0
        return f"needs values of {least:g} or more, but low comes to {low:g}; raise it" if low < least else None
    return None


def _odd_letters(name: str) -> str:
    """What to add of a name that looks like a known one and is not: letters of another script."""
    odd = [letter for letter in name if not letter.isascii()]
    return f": {odd[0]!r} is {unicodedata.name(odd[0], 'a letter beyond ASCII')}" if odd else ""
