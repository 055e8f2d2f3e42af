"""Keyword arguments that `search`, `confirm` and `noise` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from ratio_hpo.backends.resources import Backend
from ratio_hpo.core.yaml import did_you_mean
from ratio_hpo.experiment.search_setup import RunOptions


class RunKeywords(TypedDict, total=False):
    """Where and how `search`, `confirm` and `noise` run. Each keyword is also an option of the command line."""

    root: str | Path
    """The run folder. Default: `mlruns`."""

    storage: str | None
    """Optuna storage URL. Default: the SQLite file below `root`."""

    storage_patience: float
    """How long to keep retrying an unavailable storage (minutes). Default: 10."""

    workers: int | None
    """Number of trials that run at the same time; more than 1 uses Ray. None: as many as fit. Default: 1."""

    backend: Backend
    """`local`, `ray`, or `auto`: `ray` if more than one worker fits. Default: `auto`."""

    cpus_per_trial: float | None
    """CPUs per trial. Default: an equal part."""

    gpus_per_trial: float | None
    """GPUs per trial; a fraction shares a GPU. Default: chosen from the available GPUs."""

    ray_address: str | None
    """Address of a running Ray cluster: `auto` or `host:port`. Default: a Ray on this machine."""

    remote_store: str | None
    """Store for stages shared by machines without a common disk: `s3://…` or `file:///…`. Default: none."""

    device: str | None
    """`cpu` or `cuda`. Default: `cuda` if it is available."""

    max_hours: float | None
    """Stop after this many hours. Running trials are released and resumed by the next call. Default: no limit."""

    max_cost: float | None
    """Start no trial after the study has paid this cost, in its unit. Default: no limit."""

    max_failures: int | None
    """Stop after this many consecutive trials that fail with the same error. None: no limit. Default: 5."""

    max_retries: int
    """Crashes tolerated per trial, and of Ray, without a new evaluation in between. Default: 3."""

    trial_timeout: float | None
    """Fail a trial that runs longer than this (minutes). Default: no limit."""

    stall_timeout: float | None
    """Restart a trial that reports nothing for this long (minutes). Default: no limit."""

    data_dir: str | Path
    """Folder that relative paths in the experiment start from. Default: `data`."""

    strict: bool
    """Whether to refuse data files with bad records instead of repairing or dropping the records. Default: False."""

    keep_leaks: bool
    """Whether to keep training examples that also occur in the evaluation data. Default: False."""

    tracking: bool
    """Whether to write to MLflow. Default: True."""

    tracking_uri: str | None
    """URI of the MLflow store. Default: that of the study, or the SQLite store below `root`."""

    system_metrics: bool
    """Whether to record system metrics. Default: False."""

    isolated: bool
    """Whether a single worker runs a custom objective in a separate process, so that a crash does not end the search.
    False: run it in this process, for debuggers and objects that cannot be pickled. Default: True."""

    trust_remote_code: bool
    """Whether custom code of the base model may run. Default: False."""


def run_options(function: str, run: RunKeywords, **options: Any) -> RunOptions:
    """Return the options of a call.

    Args:
        function: Name of the function that was called, for messages.
        run: Its keyword arguments.
        options: Other options, such as the experiment.

    Raises:
        TypeError: A keyword argument is unknown; with the nearest known one.
    """
    for key in run:
        if key not in RunKeywords.__annotations__:
            hint = did_you_mean(key, list(RunKeywords.__annotations__))
            raise TypeError(f"{function}() got an unexpected keyword argument {key!r} ({hint})")
    keywords: dict[str, Any] = {"workers": 1, **run, **options}
    return RunOptions(**keywords)
