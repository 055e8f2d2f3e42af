"""Shared parts of the commands that train: limits, machines, the stored command of a study, exit messages."""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ratio_hpo.cli.deadline import ended_by_signals, exit_code
from ratio_hpo.cli.options import KEYS, SAMPLER_KEYS, Decorator, Finite, option, together, tracking_uri_option
from ratio_hpo.cli.printing import fail, print_json, print_table
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.json_format import Result
from ratio_hpo.core.overrides import (
    PREFIX,
    Setting,
    environment_settings,
    parse_assignment,
    unknown_variables,
)
from ratio_hpo.core.urls import without_password
from ratio_hpo.report.formatting import say

if TYPE_CHECKING:
    from ratio_hpo.core.overrides import Setting
    from ratio_hpo.core.trial import TrialRecord
    from ratio_hpo.experiment.search_setup import RunOptions
    from ratio_hpo.study.snapshot import StudyView


limit_options: Decorator = together(
    option("--max-hours", type=Finite(0, min_open=True),
           help="Stop after this long (hours, without suspend). Running trials are resumed by the next call."),
    option("--trial-timeout", type=Finite(0, min_open=True), metavar="MINUTES",
           help="Fail a trial that runs longer than this in one call (minutes)."),
    option("--stall-timeout", type=Finite(0, min_open=True), metavar="MINUTES",
           help="Restart a trial that reports no evaluation for this long (minutes); fail it after --max-retries."),
    option("--storage-patience", type=Finite(0), default=10.0, show_default=True,
           help="How long to keep retrying an unavailable storage (minutes)."),
    option("--max-retries", type=click.IntRange(0), default=3, show_default=True,
           help="Retry a crashed trial, or Ray, this many times without a new evaluation."),
    option("--max-failures", type=click.IntRange(1), default=5, show_default=True,
           help="Stop after this many consecutive trials failed with the same error."),
)  # fmt: skip

machine_options: Decorator = together(
    option("--backend", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
           help="Where to run trials; auto uses ray if more than one worker fits."),
    option("--workers", type=click.IntRange(1), help="Number of parallel trials.  [default: as many as fit]"),
    option("--cpus-per-trial", type=Finite(0, min_open=True), help="CPUs per trial."),
    option("--gpus-per-trial", type=Finite(0), help="GPUs per trial; trials with fractions share a GPU."),
    option("--ray-address", help="Address of a running Ray cluster: auto or HOST:PORT."),
    option("--remote-store", metavar="URL",
           help="Store for stages shared by machines without a common disk: s3://BUCKET/PREFIX or file:///PATH."),
    option("--device", type=click.Choice(["cpu", "cuda"]), help="Device to train on.  [default: cuda if available]"),
    option("--trust-remote-code", is_flag=True, help="Run Python code that the base model ships. Read the code first."),
    option("--no-tracking", is_flag=True, help="Do not write to MLflow."),
    tracking_uri_option,
    option("--system-metrics", is_flag=True, help="Record CPU, memory and GPU memory at each evaluation."),
)  # fmt: skip


def search_options(options: dict[str, Any], settings: Sequence[Setting]) -> RunOptions:
    """Return the options of the command line, without those that set keys of the experiment."""
    from ratio_hpo.experiment.search_setup import RunOptions

    for key in (*KEYS, *SAMPLER_KEYS):
        options.pop(key, None)
    tracking = not options.pop("no_tracking")
    return RunOptions(tracking=tracking, settings=tuple(settings), **options)


def repeated_options(view: StudyView, options: dict[str, Any], settings: Sequence[Setting] = ()) -> RunOptions:
    """Return the options of the command line, with the experiment and data options of a study.

    Raises:
        StudyError: the study was created from Python.
    """
    from ratio_hpo.core.errors import StudyError
    from ratio_hpo.experiment.places import repeat_command
    from ratio_hpo.experiment.track import uri_of

    if view.about.in_process:
        raise StudyError(f"study {view.name} was created from Python; run the script that created it to continue")
    options = {**options, "study": view.name, "tracking_uri": uri_of(view, options["tracking_uri"])}
    return repeat_command(view.about.command, search_options(options, settings))


@contextmanager
def resumable_on_interrupt() -> Iterator[None]:
    """On an interrupt in the block, print how to resume and exit with the signal's exit code."""
    with ended_by_signals() as received:
        try:
            yield
        except KeyboardInterrupt:
            command = without_password(shlex.join(["ratio-hpo", *sys.argv[1:]]))
            fail(f"interrupted; all results are stored. Resume with: {command}", exit_code(received))


def fail_for(failed: Sequence[TrialRecord], study: str | None = None) -> None:
    """Exit with code 3 if trials failed.

    Args:
        study: study to name in the advice; None: the default study.
    """
    if failed:
        name = "" if study is None else f" {study}"
        retry = f"`ratio-hpo trial {failed[0].number}{name}` shows why, `ratio-hpo retry{name}` retries"
        fail(f"{len(failed)} trial(s) failed; {retry}", 3)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigEntry:
    """A key of the experiment or an option of the command.

    Attributes:
        key: The dotted key, or the option.
        value: Its value.
        source: Where the value comes from: a file, a variable, an option, or `default`.
    """

    key: str
    value: object
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownConfig(Result):
    """Every key and option in effect.

    Attributes:
        experiment: Name or path of the experiment.
        config: Keys of the experiment, then options of the command.
    """

    experiment: str | None
    config: tuple[ConfigEntry, ...]


def show_config(ctx: click.Context, options: RunOptions, *, as_json: bool) -> None:
    """Print every key of the experiment and every option in effect, with its source."""
    from ratio_hpo.experiment.load import load_experiment

    lines = load_experiment(options.experiment, options.settings).provenance()
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name not in KEYS and name not in ("dry_run", "show_config", "as_json", "assignments", "experiment"):
            lines.append((parameter.opts[-1], ctx.params.get(name), _origin(ctx, parameter)))
    rows = tuple(ConfigEntry(key=key, value=_plain(value), source=source) for key, value, source in lines)
    if as_json:
        print_json(ShownConfig(experiment=options.experiment, config=rows))
        return
    print_table(["key", "value", "from"], [[row.key, _short(row.value), row.source] for row in rows])


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
