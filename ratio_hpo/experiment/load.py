"""Experiments from YAML: by shipped name or path, every mistake one line."""

from __future__ import annotations

from pathlib import Path

from ratio_hpo.core.config import check_name, load_yaml, parse
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.resources import find_shipped
from ratio_hpo.experiment.spec import Experiment
from ratio_hpo.space import Space, load_space
from ratio_hpo.space.domains import Ratio
from ratio_hpo.study.pruning import check_pruner
from ratio_hpo.study.samplers import check_sampler
from ratio_hpo.training.design import MOST_ADDED_RATIO
from ratio_hpo.training.parameters import check_parameters, reference_values


def load_experiment(name_or_path: str) -> tuple[Experiment, Path]:
    """An experiment, and the file it came from.

    Raises:
        ConfigError: one line a mistake.
    """
    path = find_shipped("experiments", name_or_path)
    experiment = parse(Experiment, load_yaml(path), where=str(path))
    check_name(experiment.name, f"{path}: name")
    try:
        check_sampler(experiment.sampler.name)
        check_pruner(experiment.pruner.name, experiment.pruner.options, experiment.target_languages)
    except ConfigError as error:
        raise ConfigError(*(f"{path}: {line}" for line in error.lines)) from error
    return experiment, path


def load_space_for(experiment: Experiment, name_or_path: str | None, sources: tuple[str, ...]) -> Space:
    """The space in absolute values of an experiment.

    Args:
        sources: names of the intermediate stage's sources, for a simplex over all of them.

    Raises:
        ConfigError: parameters that the objective does not know, a simplex of other sources, a ratio too high.
    """
    space = load_space(name_or_path or experiment.space)
    check_parameters(space, experiment.stages)
    resolved = space.resolve(reference_values(experiment.stages), parts=sources)
    shares = resolved.parameters.get("shares")
    unknown = [part for part in getattr(shares, "parts", ()) if part not in sources]
    if unknown:
        raise ConfigError(
            f"{space.source}: parameters.shares.parts: {unknown[0]} is no source of {experiment.name}; "
            f"known: {', '.join(sources)}"
        )
    if experiment.stages.intermediate.budget == "add" and shares is not None:
        raise ConfigError(f"{space.source}: parameters.shares: budget `add` needs a ratio, not shares; use `ratio`")
    ratio = resolved.parameters.get("ratio")
    adds = experiment.stages.intermediate.budget == "add"
    if adds and isinstance(ratio, Ratio) and ratio.high > MOST_ADDED_RATIO:
        raise ConfigError(
            f"{space.source}: parameters.ratio.high: budget `add` needs at most {MOST_ADDED_RATIO}, "
            f"but got {ratio.high}; lower it"
        )
    return resolved


def name_study(experiment: Experiment, space: Space) -> str:
    """`<experiment>-<space>`."""
    return f"{experiment.name}-{space.name}"
