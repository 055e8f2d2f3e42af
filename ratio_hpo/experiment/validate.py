"""Validate experiment and space files without running them."""

from __future__ import annotations

from pathlib import Path

from ratio_hpo.core.errors import ConfigError, Mistakes, RatioHpoError
from ratio_hpo.core.packaged_files import shipped_files
from ratio_hpo.core.yaml import did_you_mean, load_yaml
from ratio_hpo.experiment.build_search import kind_of
from ratio_hpo.experiment.load import load_experiment
from ratio_hpo.space import Simplex, load_space
from ratio_hpo.space.space import read_space
from ratio_hpo.training.parameters import check_names


def check_experiment(path: Path) -> str:
    """Check an experiment file, and return a short description of it.

    Raises:
        ConfigError: The file is invalid; one line per mistake.
    """
    mistakes, description = Mistakes(), ""
    try:
        with mistakes.among():
            description = kind_of(load_experiment(str(path))).check()
        mistakes.tell()
    except ConfigError:  # report the mistakes of its space as well
        space = load_yaml(path).get("space")
        with mistakes.among():
            if isinstance(space, str):
                load_space(space)
        mistakes.tell()
    return description


def check_space(path: Path, experiment: str | None = None) -> str:
    """Check a space file, and return a short description of it.

    Without `objective: custom`, every parameter must be one of the built-in objective.

    Args:
        path: The file.
        experiment: Experiment whose sources `shares` may name. None: any available experiment.

    Raises:
        ConfigError: The file is invalid; one line per mistake.
    """
    mistakes = Mistakes()
    space = read_space(str(path), mistakes.lines)
    if not space.custom:
        with mistakes.among():
            check_names(space)
        for key, domain in space.parameters.items():
            if isinstance(domain, Simplex) and domain.parts:
                with mistakes.among():
                    _check_parts(f"{path}: parameters.{key}.parts", domain.parts, experiment)
    mistakes.tell()
    purpose = "for a custom objective" if space.custom else "for the built-in objective"
    return f"{purpose} with {len(space.parameters)} parameter(s)"


def _check_parts(where: str, parts: tuple[str, ...], experiment: str | None) -> None:
    required = experiment is not None
    sources = {source for name in _experiments(experiment) for source in _sources(name, required=required)}
    owner = experiment or "any available experiment; name yours with ⟨experiment⟩"
    lines = [
        f"{where}: {part} is not a source of {owner} ({did_you_mean(part, sorted(sources))})"
        for part in parts
        if part not in sources
    ]
    if lines:
        raise ConfigError(*lines)


def _experiments(requested: str | None) -> list[str]:
    return [requested] if requested is not None else [str(path) for path in shipped_files("experiments")]


def _sources(experiment: str, *, required: bool) -> tuple[str, ...]:
    try:
        return kind_of(load_experiment(experiment)).source_names()
    except RatioHpoError:  # skip packaged experiments that are invalid
        if required:
            raise
        return ()
