"""Files checked before anything is run: spaces against what could search them, experiments against themselves."""

from __future__ import annotations

from pathlib import Path

from ratio_hpo.core.config import did_you_mean, load_yaml
from ratio_hpo.core.errors import ConfigError, Mistakes, RatioHpoError
from ratio_hpo.core.packaged_files import shipped_files
from ratio_hpo.experiment.build_search import kind_of
from ratio_hpo.experiment.load import load_experiment
from ratio_hpo.space import Simplex, load_space
from ratio_hpo.space.space import read_space
from ratio_hpo.training.parameters import check_names


def check_experiment(path: Path) -> str:
    """What an experiment is on, in words.

    Raises:
        ConfigError: one line a mistake.
    """
    mistakes, what = Mistakes(), ""
    try:
        with mistakes.among():
            what = kind_of(load_experiment(str(path))).check()
        mistakes.tell()
    except ConfigError:  # its space may have mistakes of its own, which are told too
        space = load_yaml(path).get("space")
        with mistakes.among():
            if isinstance(space, str):
                load_space(space)
        mistakes.tell()
    return what


def check_space(path: Path, experiment: str | None = None) -> str:
    """What a space holds, in words; unless it says `objective: custom`, the built-in objective must know all of it.

    Args:
        experiment: whose sources shares may name; None: those of any experiment at hand.

    Raises:
        ConfigError: one line a mistake.
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
    whose = "for an objective of your own" if space.custom else "for the built-in objective"
    return f"{whose} with {len(space.parameters)} parameter(s)"


def _check_parts(where: str, parts: tuple[str, ...], experiment: str | None) -> None:
    known = {name for each in _experiments(experiment) for name in _sources(each, required=experiment is not None)}
    whose = experiment or "any experiment at hand; name yours with ⟨experiment⟩"
    lines = [
        f"{where}: {part} is no source of {whose} ({did_you_mean(part, sorted(known))})"
        for part in parts
        if part not in known
    ]
    if lines:
        raise ConfigError(*lines)


def _experiments(asked: str | None) -> list[str]:
    return [asked] if asked is not None else [str(path) for path in shipped_files("experiments")]


def _sources(experiment: str, *, required: bool) -> tuple[str, ...]:
    try:
        return kind_of(load_experiment(experiment)).source_names()
    except RatioHpoError:  # of those at hand, a broken one has no say
        if required:
            raise
        return ()
