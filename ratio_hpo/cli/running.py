"""Shared parts of the commands that train: limits, machines, the stored command of a study, exit messages."""

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


def search_options(options: dict[str, Any], settings: Sequence[Setting]) -> SearchOptions:
    """Return the options of the command line as search options."""
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
    """Return the experiment, data options and settings of a study, which override a command's options.

    Raises:
        StudyError: the study was created from Python.
    """
    from ratio_hpo.core.errors import StudyError
    from ratio_hpo.core.overrides import Setting
    from ratio_hpo.experiment.track import uri_of

    stored = view.about.command
    if view.about.in_process:
        raise StudyError(f"study {view.name} was created from Python; run the script that created it to continue")
    uri = options["tracking_uri"]
    command = {
        "experiment": stored.experiment,
        "data_dir": Path(stored.data_dir),
        "strict": stored.strict,
        "keep_leaks": stored.keep_leaks,
        "study": view.name,
        "tracking_uri": uri_of(view, None) if uri is None else uri,
    }
    return command, [Setting(*parts) for parts in stored.settings]


@contextmanager
def going_on_later() -> Iterator[None]:
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
