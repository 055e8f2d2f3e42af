"""The commands on files: `validate` and `spaces`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from ratio_hpo.cli.options import json_option
from ratio_hpo.cli.printing import print_json, print_table
from ratio_hpo.core.errors import spelled
from ratio_hpo.core.json_format import Result

FOLDERS = ("search_spaces", "experiments")
"""Folders in which names are looked up, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation(Result):
    """The result of checking a file.

    Attributes:
        file: The file that was checked.
        kind: `space` or `experiment`; null: it could not be read.
        valid: Whether it has no mistake; with one, the exit code is 2.
        mistakes: One line for each mistake.
    """

    file: str
    kind: str | None
    valid: bool
    mistakes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceEntry:
    """A search space.

    Attributes:
        name: Name of the space.
        file: Its file.
        description: Its description.
        parameters: Domain of each parameter.
    """

    name: str
    file: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceList(Result):
    """All available search spaces.

    Attributes:
        spaces: The spaces.
    """

    spaces: tuple[SpaceEntry, ...]


@click.command()
@click.argument("file")
@click.option("--experiment", help="Experiment that defines the sources of a space.  [default: any available one]")
@json_option
def validate(file: str, experiment: str | None, as_json: bool) -> None:
    """Check a space or an experiment, given by path or shipped name. Print one line per mistake; exit with code 2.

    A space is checked against the built-in objective: its parameters, their options, and the sources named in shares.
    A space for a custom objective must set `objective: custom`.

    \b
    ratio-hpo validate search_spaces/default.yaml
    ratio-hpo validate my-space.yaml --experiment my-experiment.yaml
    ratio-hpo validate polyglot-world
    """
    from ratio_hpo.core.errors import ConfigError
    from ratio_hpo.core.yaml import load_yaml
    from ratio_hpo.experiment.validate import check_experiment, check_space

    kind, path, summary, mistakes = None, file, "", ()
    try:
        path = _find(file)
        content = load_yaml(path)
        is_space = "parameters" in content or not {"corpora", "stages", "base", "rungs"} & set(content)
        kind = "space" if is_space else "experiment"
        summary = check_space(path, experiment) if is_space else check_experiment(path)
    except ConfigError as error:
        if not as_json:
            raise
        mistakes = tuple(spelled(line) for line in error.lines)
    if not as_json:
        click.echo(f"{path}: a valid {kind} {summary}")
        return
    print_json(Validation(file=str(path), kind=kind, valid=not mistakes, mistakes=mistakes))
    if mistakes:
        sys.exit(ConfigError.exit_code)


def _find(file: str) -> Path:
    """Return the file of a path, or of the name of a space or an experiment.

    Raises:
        ConfigError: no such file exists.
    """
    from ratio_hpo.core.errors import ConfigError
    from ratio_hpo.core.packaged_files import shipped_files
    from ratio_hpo.core.yaml import did_you_mean

    shipped = {path.stem: path for folder in reversed(FOLDERS) for path in shipped_files(folder)}
    path = Path(file)
    if path.suffix or path.parent != Path() or path.is_file():
        return path
    if file not in shipped:
        hint = did_you_mean(file, sorted(shipped))
        raise ConfigError(f"{file}: no such file, and no space or experiment of that name ({hint})")
    return shipped[file]


@click.command()
@json_option
def spaces(as_json: bool) -> None:
    """List the available search spaces. Files in ./search_spaces come before the shipped ones.

    \b
    ratio-hpo spaces
    ratio-hpo spaces --json
    """
    from ratio_hpo.space import load_space, space_files

    loaded = [(path, load_space(str(path))) for path in space_files()]
    if as_json:
        entries = [
            SpaceEntry(name=path.stem, file=str(path), description=s.description, parameters=s.to_json())
            for path, s in loaded
        ]
        print_json(SpaceList(spaces=tuple(entries)))
        return
    for path, space in loaded:
        click.echo(f"{path.stem}: {space.description}")
        print_table(["  parameter", "values"], [[f"  {k}", d.describe()] for k, d in space.parameters.items()])
        click.echo()
