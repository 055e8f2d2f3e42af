"""What all commands that train have in common: limits, machines, the search that made a study, how they end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.options import KEYS, SAMPLER_KEYS, Decorator, Finite, option, together, tracking_uri_option
from ratio_hpo.cli.printing import fail
from ratio_hpo.cli.signals import ended_by_signals, exit_code
from ratio_hpo.core.urls import without_password

if TYPE_CHECKING:
    from ratio_hpo.core.overrides import Setting
    from ratio_hpo.core.trial import TrialRecord
    from ratio_hpo.experiment.search_setup import SearchOptions
    from ratio_hpo.study.view import StudyView

limit_options: Decorator = together(
    option("--max-hours", type=Finite(0, min_open=True),
           help="Stop after so many hours of a machine that is awake; trials that run go on with the next call."),
    option("--trial-timeout", type=Finite(0, min_open=True), metavar="MINUTES",
           help="A trial that takes longer in this run is FAIL."),
    option("--stall-timeout", type=Finite(0, min_open=True), metavar="MINUTES",
           help="A trial without an evaluation for so long goes on in another process; FAIL after --max-retries."),
    option("--storage-patience", type=Finite(0), default=10.0, show_default=True,
           help="Minutes that a storage which is locked, full or away is waited for."),
    option("--max-retries", type=click.IntRange(0), default=3, show_default=True,
           help="Retries of a trial whose process dies, and of Ray, without a new evaluation."),
    option("--max-failures", type=click.IntRange(1), default=5, show_default=True,
           help="Stop when so many trials in a row fail with the same error."),
)  # fmt: skip

machine_options: Decorator = together(
    option("--backend", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
           help="auto: ray where more than one worker fits."),
    option("--workers", type=click.IntRange(1), help="Trials at once.  [default: as many as fit]"),
    option("--cpus-per-trial", type=Finite(0, min_open=True), help="CPUs of a trial."),
    option("--gpus-per-trial", type=Finite(0), help="GPUs of a trial; fractions share one."),
    option("--ray-address", help="A running Ray cluster: auto, or HOST:PORT."),
    option("--remote-store", metavar="URL",
           help="Where machines without a common disk share stages: s3://BUCKET/PREFIX or file:///PATH."),
    option("--device", type=click.Choice(["cpu", "cuda"]), help="[default: cuda where there is one]"),
    option("--trust-remote-code", is_flag=True, help="Run code that the base model brings along. Read it first."),
    option("--no-tracking", is_flag=True, help="Write nothing to MLflow."),
    tracking_uri_option,
    option("--system-metrics", is_flag=True, help="Record CPU, memory and GPU memory at each evaluation."),
)  # fmt: skip


def search_options(options: dict[str, Any], settings: Sequence[Setting]) -> SearchOptions:
    """Options of the command line as the search takes them."""
    from ratio_hpo.backends.resources import Resources
    from ratio_hpo.experiment.search_setup import SearchOptions

    for key in (*KEYS, *SAMPLER_KEYS):
        options.pop(key, None)
    resources = Resources(
        backend=options.pop("backend"),
        workers=options.pop("workers"),
        cpus=options.pop("cpus_per_trial"),
        gpus=options.pop("gpus_per_trial"),
        ray_address=options.pop("ray_address"),
        device=options.pop("device"),
    )
    renamed = {"hours": "max_hours", "cost": "max_cost", "failures": "max_failures", "retries": "max_retries"}
    values = {new: options.pop(old, None) for new, old in renamed.items()}
    tracking = not options.pop("no_tracking")
    return SearchOptions(resources=resources, tracking=tracking, settings=tuple(settings), **values, **options)


def stored_command(view: StudyView, options: dict[str, Any]) -> tuple[dict[str, Any], list[Setting]]:
    """Experiment, data and settings that a study was made with, to be laid over the options of a command.

    Raises:
        StudyError: it was made from Python.
    """
    from ratio_hpo.core.errors import StudyError
    from ratio_hpo.core.overrides import Setting
    from ratio_hpo.experiment.track import uri_of

    made = view.about.command
    if view.about.in_process:
        raise StudyError(f"study {view.name} was made from Python; continue it by running the script that made it")
    uri = options["tracking_uri"]
    command = {
        "experiment": made.experiment,
        "data_dir": Path(made.data_dir),
        "strict": made.strict,
        "keep_leaks": made.keep_leaks,
        "study": view.name,
        "tracking_uri": uri_of(view, None) if uri is None else uri,
    }
    return command, [Setting(*each) for each in made.settings]


@contextmanager
def going_on_later() -> Iterator[None]:
    """Says how to go on where the block is interrupted, and leaves with the signal's exit code."""
    with ended_by_signals() as received:
        try:
            yield
        except KeyboardInterrupt:
            command = without_password(shlex.join(["ratio-hpo", *sys.argv[1:]]))
            fail(f"interrupted; everything is kept. To go on: {command}", exit_code(received))


def fail_for(failed: Sequence[TrialRecord], study: str | None = None) -> None:
    """Leave with exit code 3 where trials failed.

    Args:
        study: to name in the advice; None: the one that is meant without a name.
    """
    if failed:
        name = "" if study is None else f" {study}"
        retry = f"`ratio-hpo trial {failed[0].number}{name}` says why, `ratio-hpo retry{name}` tries again"
        fail(f"{len(failed)} trial(s) failed; {retry}", 3)
