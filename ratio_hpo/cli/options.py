"""Options that commands share. What `option` makes can come from the environment, as `RATIO_HPO_<OPTION>`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ratio_hpo.cli.deadline import KEY, READING
from ratio_hpo.cli.printing import open_stored
from ratio_hpo.core.overrides import PREFIX

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


KEYS = ("space", "objective", "rungs", "base", "seed", "trials", "sampler", "pruner", "keep")
"""Options that set a key of the experiment."""

SAMPLER_KEYS = ("warm_start", "prior")
"""Options that set an option of the sampler."""


def option(*names: str, **attributes: Any) -> Decorator:
    """click's option, which also reads `RATIO_HPO_<OPTION>`."""
    long = next(name for name in names if name.startswith("--"))
    attributes.setdefault("envvar", PREFIX + long.removeprefix("--").replace("-", "_").upper())
    return click.option(*names, **attributes)


def complete_studies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the studies at hand, for the shell."""
    from ratio_hpo.core.errors import RatioHpoError
    from ratio_hpo.study.admin import list_studies

    root = ctx.params.get("root") or Path("mlruns")
    try:
        storage = open_stored(root, ctx.params.get("storage"))
        return [study.name for study in list_studies(storage) if study.name.startswith(incomplete)]
    except RatioHpoError:  # nothing to complete from; the command itself will say so
        return []


root_option: Decorator = option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("mlruns"),
    show_default=True,
    help="Folder of studies, runs, stages and checkpoints.",
)
storage_option: Decorator = option(
    "--storage", default=None, help="Optuna storage URL.  [default: SQLite below --root]", metavar="URL"
)
study_option: Decorator = option(
    "--study", default=None, help="Name of the study.  [default: the last one worked on]",
    shell_complete=complete_studies,
)  # fmt: skip
needed_study_option: Decorator = option(
    "--study", default=None, help="Name of the study, in the place of the argument.", shell_complete=complete_studies
)
study_argument: Decorator = click.argument("name", required=False, metavar="[STUDY]", shell_complete=complete_studies)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
tracking_uri_option: Decorator = option(
    "--tracking-uri", default=None, help="MLflow store or server.  [default: SQLite below --root]", metavar="URI"
)


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, shown in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for each in reversed(options):
            command = each(command)
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
"""A study by its name, as an argument or by --study; the command gets it as `study`."""

needed_study: Decorator = _named_by(needed_study_option)
"""The same, of a command that takes none for granted."""


def one_name(name: str | None, study: str | None) -> str | None:
    """The study that an argument or --study names.

    Raises:
        click.UsageError: they name two.
    """
    if name is not None and study is not None and name != study:
        raise click.UsageError(f"names two studies, {name} and --study {study}; leave one out")
    return study if name is None else name


def is_number(word: str) -> bool:
    """Whether a word on the command line is a trial's number: decimal digits, and no other script's or raised ones."""
    return word.isascii() and word.isdecimal()


def timeout_option(seconds: float, help: str) -> Decorator:
    """`--timeout`, which `Deadline` reads."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: float) -> None:
        ctx.meta[KEY] = value

    return option(
        "--timeout", type=Finite(0, min_open=True), default=seconds, show_default=True, metavar="SECONDS",
        expose_value=False, callback=keep, help=help,
    )  # fmt: skip


def needed(study: str | None) -> str:
    """The name of a study where none is taken for granted.

    Raises:
        click.UsageError: there is none.
    """
    if study is None:
        raise click.UsageError("needs the name of a study, as an argument or by --study; `ratio-hpo list` shows them")
    return study


class Finite(click.FloatRange):
    """A number in a range; neither infinity nor what is no number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


reading_timeout: Decorator = timeout_option(READING, "End where the storage has not answered for so long.")

reading_options: Decorator = together(named_study, root_option, storage_option, reading_timeout, json_option)
"""The options of every command that reads a study."""

writing_options: Decorator = together(study_option, root_option, storage_option)
"""The options of every command that changes a study."""
