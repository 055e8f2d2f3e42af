"""Parameters of the built-in objective, and the stages and keys that each of them sets."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, get_args

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.yaml import did_you_mean
from ratio_hpo.data.mixing import SPREADS
from ratio_hpo.space import Domain, Grouped, LogUniform, Ratio, Simplex, Space, Steps, Uniform
from ratio_hpo.training.spec import MAX_STEPS, Schedule, StageSpec

INTERMEDIATE, TARGET = "intermediate", "target"

PARAMETERS = {
    "learning_rate": (INTERMEDIATE, "learning_rate"),
    "intermediate_steps": (INTERMEDIATE, "steps"),
    "warmup": (INTERMEDIATE, "warmup"),
    "weight_decay": (INTERMEDIATE, "weight_decay"),
    "schedule": (INTERMEDIATE, "schedule"),
    "temperature": (INTERMEDIATE, "temperature"),
    "spread": (INTERMEDIATE, "spread"),
    "mlm_share": (INTERMEDIATE, "mlm_share"),
    "size_cap": (INTERMEDIATE, "size_cap"),
    "target_learning_rate": (TARGET, "learning_rate"),
    "target_steps": (TARGET, "steps"),
    "target_warmup": (TARGET, "warmup"),
    "target_weight_decay": (TARGET, "weight_decay"),
    "target_schedule": (TARGET, "schedule"),
}
"""Parameters that a space may vary in addition to `ratio` and `shares`: the stage and its key.

Parameters of `target` act on every target stage; with several target stages, `<target>.<key>` acts on one of them.
"""

TARGET_KEYS = tuple(key for owner, key in PARAMETERS.values() if owner == TARGET)

WHOLE_NUMBERS = frozenset({"steps", "warmup", "size_cap"})

OPTIONS = {"schedule": get_args(Schedule), "spread": SPREADS}

NO_CAP = 2**31
"""A `size_cap` that no source reaches; it stands for no cap among parameters."""

BELOW_ONE = frozenset({"mlm_share"})

Stages = Mapping[str, StageSpec]
"""Stages of an experiment by name: `intermediate`, and either `target` or several `target.<name>`."""


def owners(name: str, stages: Stages) -> list[tuple[str, str]]:
    """Return the stages that a parameter acts on, with its key in each; empty if the name is no parameter."""
    if name in PARAMETERS:
        owner, key = PARAMETERS[name]
        return [(stage, key) for stage in stages if stage.partition(".")[0] == owner]
    target, _, key = name.rpartition(".")
    stage = f"{TARGET}.{target}"
    return [(stage, key)] if target and stage in stages and key in TARGET_KEYS else []


def known_names(stages: Stages) -> list[str]:
    """Return every parameter that acts on an existing stage, without `ratio` and `shares`."""
    single = [f"{stage.partition('.')[2]}.{key}" for stage in stages if "." in stage for key in TARGET_KEYS]
    return [name for name in (*PARAMETERS, *single) if owners(name, stages)]


def reference_value(name: str, stages: Stages) -> Any:
    """Return the experiment's value of a parameter in the first stage that it acts on."""
    stage, key = owners(name, stages)[0]
    value = getattr(stages[stage], key)
    return NO_CAP if key == "size_cap" and value is None else value


def reference_values(stages: Stages) -> dict[str, float]:
    """Return the experiment's value of each numerical parameter."""
    values = {name: reference_value(name, stages) for name in known_names(stages)}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def check_names(space: Space) -> None:
    """Check that every parameter of a space belongs to the built-in objective, for any experiment.

    Raises:
        ConfigError: with one line per wrong parameter.
    """
    problems = {}
    for name, domain in space.parameters.items():
        key = name.rpartition(".")[2] if "." in name else ""
        problems[name] = _misfit(name, domain, f"target_{key}" if key in TARGET_KEYS else name)
    _refuse(space, problems)


def check_parameters(space: Space, stages: Stages) -> None:
    """Check that every parameter of a space acts on a stage of the experiment and has a valid domain.

    Raises:
        ConfigError: with one line per wrong parameter.
    """
    problems: dict[str, str | None] = {}
    for name, domain in space.parameters.items():
        acts = owners(name, stages)
        if name in ("ratio", "shares") or not acts:
            problems[name] = _misfit(name, domain, name, known_names(stages))
            if problems[name] is None and not acts and name in PARAMETERS:
                problems[name] = "acts on a target stage, but no target has a stage; remove it"
        else:
            kind = name if name in PARAMETERS else f"target_{acts[0][1]}"
            problems[name] = _misfit(name, domain, kind) or _out_of_range(name, domain, stages)
    _refuse(space, problems)


def _refuse(space: Space, problems: Mapping[str, str | None]) -> None:
    lines = [f"{space.source}: parameters.{name}: {problem}" for name, problem in problems.items() if problem]
    if lines:
        raise ConfigError(*lines)


def _misfit(name: str, domain: Domain, kind: str, names: list[str] | None = None) -> str | None:
    """Return why a name is no parameter or its domain has a wrong type, or None if both are valid.

    Args:
        name: name of the parameter.
        domain: its domain in the space.
        kind: the key of `PARAMETERS` whose rules apply.
        names: parameters of the experiment, for suggestions; None: all of `PARAMETERS`.
    """
    suggestions = ["ratio", "shares", *(names or PARAMETERS)]
    if kind not in ("ratio", "shares", *PARAMETERS):
        return f"no parameter of the built-in objective ({did_you_mean(name, suggestions)}){_odd_letters(name)}"
    required = {"ratio": (Ratio, "ratio"), "shares": (Simplex | Grouped, "simplex or grouped")}.get(kind)
    if required is not None:
        return None if isinstance(domain, required[0]) else f"needs type {required[1]}; correct it"
    _, key = PARAMETERS[kind]
    if key in OPTIONS:
        invalid = [option for option in getattr(domain, "options", [None]) if option not in OPTIONS[key]]
        if not invalid:
            return None
        actual = "" if invalid == [None] else f", but got {invalid[0]!r}"
        return f"needs a choice of {', '.join(OPTIONS[key])}{actual}; correct it"
    if key in WHOLE_NUMBERS:
        return (
            None
            if isinstance(domain, Steps)
            else f"needs type steps, since {key} is a whole number on a grid; correct it"
        )
    return None if isinstance(domain, Uniform | LogUniform) else "needs type log_uniform or uniform; correct it"


def _out_of_range(name: str, domain: Domain, stages: Stages) -> str | None:
    """Return why a domain has invalid absolute values in an experiment, or None if they are valid."""
    stage, key = owners(name, stages)[0]
    reference = reference_value(name, stages)
    if isinstance(domain, Steps) and reference in (0, NO_CAP) and not domain.absolute:
        none = "none" if reference == NO_CAP else "0"
        return f"holds factors, but stages.{stage}.{key} is {none}; set it, or use `absolute: true`"
    if isinstance(domain, Steps) and key == "steps":
        largest = max(domain.values) * (1.0 if domain.absolute else reference)
        return (
            f"needs at most {MAX_STEPS:,} steps, but reaches {largest:,.0f}; lower it" if largest > MAX_STEPS else None
        )
    if isinstance(domain, Uniform | LogUniform):
        scale = 1.0 if domain.absolute else reference
        low, high = domain.low * scale, domain.high * scale
        minimum = 1.0 if key == "temperature" else 0.0
        if key in BELOW_ONE and (high >= 1.0 or high <= low):
            return f"needs values in [0, 1), but ranges from {low:g} to {high:g}; lower it, or use `absolute: true`"
        return f"needs values of {minimum:g} or more, but low is {low:g}; raise it" if low < minimum else None
    return None


def _odd_letters(name: str) -> str:
    """Return a note on letters of another script in a name, or an empty string."""
    foreign = [letter for letter in name if not letter.isascii()]
    return f": {foreign[0]!r} is {unicodedata.name(foreign[0], 'a non-ASCII letter')}" if foreign else ""
