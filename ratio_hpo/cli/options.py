"""Options shared by commands. Options made by `option` can also be set by the variable `RATIO_HPO_<OPTION>`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ratio_hpo.cli.deadline import KEY, READING
from ratio_hpo.cli.printing import open_stored
from ratio_hpo.core.extensions import Registry
from ratio_hpo.core.overrides import PREFIX

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


KEYS = ("space", "objective", "rungs", "base", "seed", "trials", "sampler", "pruner", "keep")
"""Options that set a key of the experiment."""

SAMPLER_KEYS = ("warm_start", "prior")
"""Options that set an option of the sampler."""


def option(*names: str, **attributes: Any) -> Decorator:
    """Return a click option that also reads the variable `RATIO_HPO_<OPTION>`."""
    long = next(name for name in names if name.startswith("--"))
    attributes.setdefault("envvar", PREFIX + long.removeprefix("--").replace("-", "_").upper())
    return click.option(*names, **attributes)


def complete_studies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the stored studies, for shell completion."""
    from ratio_hpo.core.errors import RatioHpoError
    from ratio_hpo.study.manage import list_studies

    root = ctx.params.get("root") or Path("mlruns")
    try:
        storage = open_stored(root, ctx.params.get("storage"))
        return [study.name for study in list_studies(storage) if study.name.startswith(incomplete)]
    except RatioHpoError:  # no completions; the command itself reports the error
        return []


def component_option(name: str, registry: Registry[Any], purpose: str) -> Decorator:
    """Return an option that takes the name of a component, or the import path of a class."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [known for known in registry.names() if known.startswith(incomplete)]

    names = ", ".join(registry.built_in_names())
    return option(name, metavar="NAME", shell_complete=complete,
                  help=f"{purpose}: {names}, or a class as package.module:Class.  [default: from the experiment]"
                  )  # fmt: skip


root_option: Decorator = option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("mlruns"),
    show_default=True,
    help="Folder for studies, runs, stages and checkpoints.",
)
storage_option: Decorator = option(
    "--storage", default=None, help="Optuna storage URL.  [default: SQLite file in --root]", metavar="URL"
)
study_option: Decorator = option(
    "--study", default=None, help="Name of the study.  [default: the most recently used one]",
    shell_complete=complete_studies,
)  # fmt: skip
needed_study_option: Decorator = option(
    "--study", default=None, help="Name of the study, instead of the argument.", shell_complete=complete_studies
)
study_argument: Decorator = click.argument("name", required=False, metavar="[STUDY]", shell_complete=complete_studies)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
tracking_uri_option: Decorator = option(
    "--tracking-uri", default=None, help="MLflow store or server.  [default: SQLite file in --root]", metavar="URI"
)


def together(*options: Decorator) -> Decorator:
    """Combine several options into one decorator; help shows them in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for add_option in reversed(options):
            command = add_option(command)
        return command

    return decorate


def _named_by(study: Decorator) -> Decorator:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @study_argument
        @study
        @wraps(command)
        def wrapped(*args: Any, name: str | None, study: str | None, **options: Any) -> Any:
            return command(*args, study=one_name(name, study), **options)

        return wrapped

    return decorate


named_study: Decorator = _named_by(study_option)
"""A study given as an argument or by --study; the command receives it as `study`."""

needed_study: Decorator = _named_by(needed_study_option)
"""The same for a command without a default study."""


def one_name(name: str | None, study: str | None) -> str | None:
    """Return the study given by an argument or by --study.

    Raises:
        click.UsageError: they name different studies.
    """
    if name is not None and study is not None and name != study:
        raise click.UsageError(f"got two studies, {name} and --study {study}; omit one")
    return study if name is None else name


def is_number(word: str) -> bool:
    """Return whether a word of the command line is a trial number: ASCII decimal digits only."""
    return word.isascii() and word.isdecimal()


def timeout_option(seconds: float, help: str) -> Decorator:
    """Return the option `--timeout`, whose value `Deadline` reads."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: float) -> None:
        ctx.meta[KEY] = value

    return option(
        "--timeout", type=Finite(0, min_open=True), default=seconds, show_default=True, metavar="SECONDS",
        expose_value=False, callback=keep, help=help,
    )  # fmt: skip


def needed(study: str | None) -> str:
    """Return the name of the study for a command without a default study.

    Raises:
        click.UsageError: no study is named.
    """
    if study is None:
        raise click.UsageError("needs the name of a study, as an argument or by --study; `ratio-hpo list` shows them")
    return study


class Finite(click.FloatRange):
    """A click parameter type: a finite number in a range."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


reading_timeout: Decorator = timeout_option(READING, "Exit if the storage does not answer for this long (seconds).")

reading_options: Decorator = together(named_study, root_option, storage_option, reading_timeout, json_option)
"""The options of the commands that read a study."""

writing_options: Decorator = together(study_option, root_option, storage_option)
"""The options of the commands that change a study."""
