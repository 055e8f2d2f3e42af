"""The settings with which a command overrides its experiment, and `--show-config`, which shows their origin."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ratio_hpo.cli.options import KEYS
from ratio_hpo.cli.printing import print_json, print_table
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.overrides import (
    PREFIX,
    Setting,
    environment_settings,
    parse_assignment,
    unknown_variables,
)
from ratio_hpo.core.urls import without_password
from ratio_hpo.show.formatting import say

if TYPE_CHECKING:
    from ratio_hpo.experiment.build_search import SearchOptions


def search_settings(ctx: click.Context, options: dict[str, Any], assignments: Sequence[str]) -> list[Setting]:
    """Return settings from variables, then from options, then from -S; warn of variables that look mistyped."""
    from ratio_hpo.experiment.custom_objective import CustomExperimentSpec
    from ratio_hpo.experiment.spec import ExperimentSpec

    keys = {*ExperimentSpec.model_fields, *CustomExperimentSpec.model_fields}
    names = {*keys, *options, "data"}
    for name in unknown_variables(os.environ, names):
        near = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), list(names), n=1, cutoff=0.8)
        if near:
            say(f"{name}: no such option or key (did you mean {PREFIX}{near[0].upper()}?); the variable is ignored")
    for parameter in ctx.command.params:
        name = f"{PREFIX}{(parameter.name or '').upper()}"
        if parameter.envvar is None and name in os.environ:
            say(f"{name}: {parameter.opts[-1]} is not read from the environment; pass it on the command line")
    variables = environment_settings(os.environ, keys, options)
    return [*variables, *flag_settings(ctx, options, assignments)]


def flag_settings(ctx: click.Context, options: dict[str, Any], assignments: Sequence[str]) -> list[Setting]:
    """Return settings from options that set a key, first those from variables, then those from flags, then from -S."""
    sourced = []
    for key in (key for key in KEYS if options.get(key) is not None):
        flag = f"--{key.replace('_', '-')}"
        source = ctx.get_parameter_source(key)
        name = f"{PREFIX}{key.upper()}" if source is ParameterSource.ENVIRONMENT else flag
        sourced.append((source is not ParameterSource.ENVIRONMENT, Setting(key, _value(key, options[key]), name)))
    settings = [setting for _, setting in sorted(sourced, key=lambda pair: pair[0])]
    if options.get("warm_start") is not None:
        settings.append(Setting("sampler.options.warm_start", options["warm_start"], "--warm-start"))
    for text in options.get("prior") or ():
        key, value = parse_assignment(text)
        settings.append(Setting(f"sampler.options.prior.{key}", value, "--prior"))
    objective = next((s.value for s in settings if s.key == "objective"), None)
    if objective is not None and not options.get("experiment"):
        settings.insert(0, Setting("name", str(objective).rpartition(":")[2] or "custom", "--objective"))
    return settings + [Setting(*parse_assignment(text), "-S") for text in assignments]


def show_config(ctx: click.Context, options: SearchOptions, *, as_json: bool) -> None:
    """Print every key of the experiment and every option in effect, with its source."""
    from ratio_hpo.experiment.load import load_experiment

    lines = load_experiment(options.experiment, options.settings).provenance()
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name not in KEYS and name not in ("dry_run", "show_config", "as_json", "assignments", "experiment"):
            lines.append((parameter.opts[-1], ctx.params.get(name), _origin(ctx, parameter)))
    rows = [{"key": key, "value": _plain(value), "source": source} for key, value, source in lines]
    if as_json:
        print_json({"schema": SCHEMA, "experiment": options.experiment, "config": rows})
        return
    print_table(["key", "value", "from"], [[row["key"], _short(row["value"]), row["source"]] for row in rows])


def _value(key: str, value: Any) -> Any:
    if key == "base":
        name, _, revision = str(value).partition("@")
        return {"name": name, "revision": revision or None}
    if key == "rungs":
        try:
            return [int(part) for part in str(value).split(",")]
        except ValueError as error:
            raise ConfigError(f"--rungs: needs whole numbers such as 100,200,400, but got {value!r}") from error
    return {"name": value} if key in ("sampler", "pruner") else value


def _origin(ctx: click.Context, parameter: click.Parameter) -> str:
    source = ctx.get_parameter_source(parameter.name or "")
    if source is ParameterSource.ENVIRONMENT:
        return str(parameter.envvar)
    return parameter.opts[-1] if source is ParameterSource.COMMANDLINE else "default"


def _plain(value: Any) -> Any:
    return without_password(str(value)) if isinstance(value, Path | str) else value


def _short(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
