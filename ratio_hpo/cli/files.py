"""Commands on files: validate, spaces."""

from __future__ import annotations

import click

from ratio_hpo.cli.options import json_option
from ratio_hpo.cli.printing import print_json, print_table


@click.command()
@click.argument("file")
def validate(file: str) -> None:
    """Check a space or an experiment, by path or shipped name; every mistake is one line, exit code 2.

    \b
    ratio-hpo validate search_spaces/default.yaml
    ratio-hpo validate polyglot-world
    """
    from ratio_hpo.core.config import load_yaml
    from ratio_hpo.core.errors import ConfigError
    from ratio_hpo.core.resources import find_shipped

    try:
        path = find_shipped("search_spaces", file)
    except ConfigError:
        path = find_shipped("experiments", file)
    content = load_yaml(path)
    from ratio_hpo.space import load_space

    if "parameters" in content or not {"corpora", "stages", "base", "objective"} & set(content):
        space = load_space(str(path))
        click.echo(f"{path}: a valid space with {len(space.parameters)} parameter(s)")
        return
    from ratio_hpo.experiment.load import load_experiment, load_space_for
    from ratio_hpo.experiment.own import OwnExperimentSpec, resolve_own
    from ratio_hpo.experiment.prepare import source_designs

    experiment = load_experiment(str(path)).experiment
    if isinstance(experiment, OwnExperimentSpec):
        resolve_own(experiment, load_space(experiment.space))
        click.echo(f"{path}: a valid experiment with an objective of your own, {experiment.objective}")
        return
    load_space_for(experiment, tuple(source_designs(experiment, experiment.stages.intermediate)))
    click.echo(f"{path}: a valid experiment on {len(experiment.target_languages)} language(s)")


@click.command()
@json_option
def spaces(as_json: bool) -> None:
    """List the spaces at hand; those in ./search_spaces come before the shipped ones.

    \b
    ratio-hpo spaces
    ratio-hpo spaces --json
    """
    from ratio_hpo.space import load_space, space_files

    loaded = [(path, load_space(str(path))) for path in space_files()]
    if as_json:
        print_json(
            {
                "schema": 1,
                "spaces": [
                    {"name": path.stem, "file": str(path), "description": s.description, "parameters": s.to_json()}
                    for path, s in loaded
                ],
            }
        )
        return
    for path, space in loaded:
        click.echo(f"{path.stem}: {space.description}")
        print_table(["  parameter", "values"], [[f"  {k}", d.describe()] for k, d in space.parameters.items()])
        click.echo()
