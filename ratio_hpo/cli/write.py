"""Commands that add to a study: enqueue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ratio_hpo.cli.printing import root_option, say, storage_option, study_option


@click.command()
@click.argument("assignments", nargs=-1, required=True, metavar="PARAMETER=VALUE...")
@study_option
@root_option
@storage_option
def enqueue(assignments: tuple[str, ...], study: str | None, root: Path, storage: str | None) -> None:
    """Try these parameters next, in absolute values; parameters left out are sampled.

    \b
    ratio-hpo enqueue ratio=0.4
    ratio-hpo enqueue ratio=0.4 learning_rate=0.001 --study polyglot-world-default
    """
    from ratio_hpo.study.storage import default_url, open_storage
    from ratio_hpo.study.view import enqueue as put

    params = dict(_assignment(text) for text in assignments)
    name, number = put(open_storage(storage or default_url(root), create=False), study, params)
    say(f"{name}: trial {number} waits; the next search that asks for more trials runs it")


def _assignment(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise click.UsageError(f"{text!r}: needs PARAMETER=VALUE, as in ratio=0.4")
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return key, YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        raise click.UsageError(f"{text!r}: the value cannot be read; write a number or a word") from error
