"""Experiments from YAML and the settings laid over it: by shipped name or path, every mistake one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratio_hpo.core.config import check_name, load_yaml, parse
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.overrides import Setting, flatten, overlay, source_of
from ratio_hpo.core.resources import find_shipped
from ratio_hpo.experiment.own import OwnExperimentSpec
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.experiment.study_spec import StudySpec
from ratio_hpo.space import Space, load_space
from ratio_hpo.space.domains import Ratio
from ratio_hpo.study.pruning import check_pruner
from ratio_hpo.study.samplers import check_sampler
from ratio_hpo.training.parameters import check_parameters, reference_values
from ratio_hpo.training.spec import MOST_ADDED_RATIO


@dataclass(frozen=True, slots=True)
class Loaded:
    """An experiment with what it was made of.

    Attributes:
        path: the file; None: there is none, only settings.
        content: of the file, as it stands there.
        settings: what was laid over it.
    """

    experiment: ExperimentSpec | OwnExperimentSpec
    path: Path | None
    content: Mapping[str, Any]
    settings: tuple[Setting, ...]

    def provenance(self) -> list[tuple[str, Any, str]]:
        """Every key in effect: dotted key, value, and the default, file, variable or flag that it came from."""
        whole = flatten(overlay(self.content, self.settings))
        in_file = [key for key, value in flatten(self.content).items() if whole.get(key) == value]
        lines = []
        for key, value in flatten(self.experiment.model_dump(mode="json")).items():
            named = any(key == k or key.startswith(f"{k}.") or k.startswith(f"{key}.") for k in in_file)
            source = source_of(key, self.settings) or (str(self.path) if named else "default")
            lines.append((key, value, source))
        return lines


def load_experiment(name_or_path: str | None, settings: Sequence[Setting] = ()) -> Loaded:
    """An experiment: a file with settings laid over it, or settings alone.

    Raises:
        ConfigError: one line a mistake.
    """
    path = find_shipped("experiments", name_or_path) if name_or_path is not None else None
    content = load_yaml(path) if path is not None else {}
    whole = overlay(content, settings)
    schema: type[StudySpec] = OwnExperimentSpec if "objective" in whole else ExperimentSpec

    def where(key: str) -> str:
        source = source_of(key, settings) if key else None
        return source or str(path or "objective")

    experiment = parse(schema, whole, where=where)
    check_name(experiment.name, f"{where('name')}: name")
    try:
        check_sampler(experiment.sampler.name)
        check_pruner(experiment.pruner.name, experiment.pruner.options, experiment.target_languages)
    except ConfigError as error:
        raise ConfigError(*(f"{where(line.partition(':')[0])}: {line}" for line in error.lines)) from error
    return Loaded(experiment, path, content, tuple(settings))


def load_space_for(experiment: ExperimentSpec, sources: tuple[str, ...]) -> Space:
    """The space in absolute values of an experiment.

    Args:
        sources: names of the intermediate stage's sources, for a simplex over all of them.

    Raises:
        ConfigError: parameters that the objective does not know, a simplex of other sources, a ratio too high.
    """
    space = load_space(experiment.space)
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


def name_study(experiment: StudySpec, space: Space) -> str:
    """`<experiment>-<space>`."""
    return f"{experiment.name}-{space.name}"
