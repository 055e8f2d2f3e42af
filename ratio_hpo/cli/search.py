"""Commands that train: search and resume."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.options import (
    KEYS,
    Decorator,
    Finite,
    json_option,
    named_study,
    needed,
    option,
    root_option,
    storage_option,
    together,
    tracking_uri_option,
)
from ratio_hpo.cli.printing import fail, print_json
from ratio_hpo.cli.signals import ended_by_signals, exit_code
from ratio_hpo.core.choices import PRUNERS, SAMPLERS
from ratio_hpo.core.urls import without_password
from ratio_hpo.show.words import say

if TYPE_CHECKING:
    from ratio_hpo.core.overrides import Setting
    from ratio_hpo.experiment.kind import Search, SearchOptions

KEEP = ["front", "best", "all", "none"]
DEFAULT_EXPERIMENT = "polyglot-world"

running_options: Decorator = together(
    option("--trials", type=click.IntRange(1), help="Trials in the study in all.  [default: the experiment's]"),
    option("--max-hours", type=Finite(0, min_open=True),
           help="Stop after so many hours; trials that run are let go, and go on with the next search."),
    option("--trial-timeout", type=Finite(0, min_open=True), metavar="MINUTES",
           help="A trial that takes longer in this run is FAIL."),
    option("--stall-timeout", type=Finite(0, min_open=True), metavar="MINUTES",
           help="A trial without an evaluation for so long goes on in another process; FAIL after three."),
    option("--max-cost", type=Finite(0, min_open=True),
           help="Start no trial once the study has trained so much, in its unit of cost."),
    option("--storage-patience", type=Finite(0), default=10.0, show_default=True,
           help="Minutes that a storage which is locked, full or away is waited for."),
    option("--max-failures", type=click.IntRange(0), help="Stop when more trials failed (diverged ones aside)."),
    option("--sampler", type=click.Choice(SAMPLERS), help="How parameters are proposed."),
    option("--pruner", type=click.Choice(PRUNERS), help="How slow trials are stopped."),
    option("--keep", type=click.Choice(KEEP), help="Whose weights are kept.  [default: the experiment's, front]"),
    option("--backend", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
           help="auto: ray where more than one worker fits."),
    option("--workers", type=click.IntRange(1), help="Trials at once.  [default: as many as fit]"),
    option("--cpus-per-trial", type=Finite(0, min_open=True), help="CPUs of a trial."),
    option("--gpus-per-trial", type=Finite(0), help="GPUs of a trial; fractions share one."),
    option("--ray-address", help="A running Ray cluster: auto, or HOST:PORT."),
    option("--device", type=click.Choice(["cpu", "cuda"]), help="[default: cuda where there is one]"),
    option("--no-tracking", is_flag=True, help="Write nothing to MLflow."),
    tracking_uri_option,
    option("--system-metrics", is_flag=True, help="Record CPU, memory and GPU memory at each evaluation."),
    click.option("-S", "--set", "assignments", multiple=True, metavar="KEY=VALUE",
                 help="Set any key of the experiment: -S stages.target.steps=80. May be repeated."),
    root_option,
    storage_option,
    json_option,
)  # fmt: skip


@click.command()
@option("--space", help="Name or path of a space.  [default: the experiment's]")
@option("--experiment", help=f"Name or path of an experiment.  [default: {DEFAULT_EXPERIMENT}]")
@option("--objective", metavar="PACKAGE.MODULE:FUNCTION", help="Your own generator of Progress; needs --rungs.")
@option("--rungs", metavar="W,W,...", help="Windows at which your own objective is evaluated and compared.")
@option("--base", help="Base model: a hub name[@commit], a folder, minilm.  [default: the experiment's]")
@option("--study", help="Name of the study.  [default: <experiment>-<space>]")
@option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Seed of training, splits and sampler.  [default: the experiment's]",
)
@option("--data-dir", type=click.Path(path_type=Path), default=Path("data"), envvar="RATIO_HPO_DATA",
        show_envvar=True, help="Folder that paths in the experiment start from.")  # fmt: skip
@option("--strict", is_flag=True, help="Refuse data files with bad records instead of mending and dropping.")
@option("--keep-leaks", is_flag=True, help="Train on passages and questions that evaluation data shares.")
@click.option("--dry-run", is_flag=True, help="Show data, leaks, anchors, first proposals, cost and time; no search.")
@click.option("--show-config", is_flag=True, help="Show every key in effect and where its value came from.")
@running_options
@click.pass_context
def search(
    ctx: click.Context, dry_run: bool, show_config: bool, as_json: bool, assignments: Sequence[str], **options: Any
) -> None:
    """Search a space. The same command again continues the study; --trials is the total.

    A value given by a flag wins over RATIO_HPO_* variables, these over the experiment file, that over defaults.

    \b
    ratio-hpo search --space default
    ratio-hpo search --space default --trials 24 -S stages.target.steps=80
    ratio-hpo search --experiment tydiqa-goldp --data-dir ~/data --dry-run
    ratio-hpo search --objective my_module:train --rungs 100,200,400
    """
    from ratio_hpo.cli.settings import search_settings

    settings = search_settings(ctx, options, assignments)
    own = any(setting.key == "objective" for setting in settings)
    experiment = options.pop("experiment") or (None if own else DEFAULT_EXPERIMENT)
    ready = _options({**options, "experiment": experiment}, settings)
    if show_config:
        from ratio_hpo.cli.settings import show_config as show

        show(ctx, ready, as_json=as_json)
        return
    _go(ready, dry_run=dry_run, as_json=as_json)


@click.command()
@named_study
@running_options
@click.pass_context
def resume(ctx: click.Context, study: str | None, as_json: bool, assignments: Sequence[str], **options: Any) -> None:
    """Continue a study by its name, with the experiment, space and data that it was made with.

    \b
    ratio-hpo resume polyglot-world-default --trials 24
    """
    from ratio_hpo.cli.printing import open_view
    from ratio_hpo.cli.settings import flag_settings
    from ratio_hpo.core.errors import StudyError
    from ratio_hpo.core.overrides import Setting
    from ratio_hpo.experiment.track import uri_of

    view = open_view(options["root"], options["storage"], needed(study))
    made = view.about.command
    if view.about.in_process:
        raise StudyError(f"study {study} was made from Python; continue it by running the script that made it")
    if options["tracking_uri"] is None:
        options["tracking_uri"] = uri_of(view, None)
    command = {
        "experiment": made.experiment,
        "data_dir": Path(made.data_dir),
        "strict": made.strict,
        "keep_leaks": made.keep_leaks,
        "study": study,
    }
    settings = [*(Setting(*each) for each in made.settings), *flag_settings(ctx, options, assignments)]
    _go(_options({**options, **command}, settings), dry_run=False, as_json=as_json)


def _options(options: dict[str, Any], settings: Sequence[Setting]) -> SearchOptions:
    from ratio_hpo.backends.resources import Resources
    from ratio_hpo.experiment.kind import SearchOptions

    for key in KEYS:
        options.pop(key, None)
    resources = Resources(
        backend=options.pop("backend"),
        workers=options.pop("workers"),
        cpus=options.pop("cpus_per_trial"),
        gpus=options.pop("gpus_per_trial"),
        ray_address=options.pop("ray_address"),
        device=options.pop("device"),
    )
    renamed = {"hours": "max_hours", "cost": "max_cost", "failures": "max_failures"}
    values = {new: options.pop(old) for new, old in renamed.items()}
    tracking = not options.pop("no_tracking")
    return SearchOptions(resources=resources, tracking=tracking, settings=tuple(settings), **values, **options)


def _go(options: SearchOptions, *, dry_run: bool, as_json: bool) -> None:
    from ratio_hpo.cli.dry_run import describe, print_plan
    from ratio_hpo.core.trial import failures
    from ratio_hpo.experiment.ready import ready_search
    from ratio_hpo.experiment.search import run_search
    from ratio_hpo.show.live import Display

    with ended_by_signals() as received:
        try:
            ready = ready_search(options, say)
            if dry_run:
                content = describe(ready)
                print_json(content) if as_json else print_plan(content)
                return
            records = run_search(ready, Display())
        except KeyboardInterrupt:
            command = without_password(shlex.join(["ratio-hpo", *sys.argv[1:]]))
            fail(f"interrupted; everything is kept. To go on: {command}", exit_code(received))
    failed = failures(records)
    _print_end(ready, as_json=as_json)
    if failed:
        retry = f"`ratio-hpo trial {failed[0].number}` says why, `ratio-hpo retry` tries again"
        fail(f"{len(failed)} trial(s) failed; {retry}", 3)


def _print_end(ready: Search, *, as_json: bool) -> None:
    """What came out: the front and where to look next."""
    from ratio_hpo.analysis.recommend import recommend
    from ratio_hpo.analysis.status import pareto, status
    from ratio_hpo.cli.pareto import print_front
    from ratio_hpo.cli.printing import open_view

    view = open_view(ready.options.root, ready.options.storage, ready.plan.name)
    content = status(view)
    if as_json:
        print_json(content)
        return
    counts = ", ".join(f"{value} {key}" for key, value in content["counts"].items() if value)
    click.echo(f"{view.name}: {counts}; hypervolume {content['hypervolume']:.3f}")
    print_front(pareto(view))
    found = recommend(view)
    if found is not None:
        record = found.record
        ratio = "" if record.ratio is None else f"ratio {record.ratio:.2f}, "
        expected = "" if found.mean is None else f", expected {found.mean:.3f} ± {found.sd:.3f}"
        measured = f"{content['measure']} {record.scored[-1].headline:.3f} measured{expected}"
        click.echo(f"Recommended: {ratio}trial {record.number}, {measured}\n({found.why})")
    say("next: `ratio-hpo pareto`, `ratio-hpo ui`, `ratio-hpo export recipe`;\nmore: the same command with --trials")
