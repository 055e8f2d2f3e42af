"""Commands that train: search and resume."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.printing import fail, json_option, print_json, root_option, say, storage_option

if TYPE_CHECKING:
    from ratio_hpo.experiment.search import SearchOptions

SAMPLERS = ["tpe", "gp", "nsga2", "nsga3", "qmc", "random", "grid"]
PRUNERS = ["successive_halving", "hyperband", "median", "percentile", "patient", "threshold", "wilcoxon", "none"]

_OPTIONS = [
    click.option("--trials", type=click.IntRange(1), help="Trials in the study in all.  [default: the experiment's]"),
    click.option("--max-hours", type=click.FloatRange(0, min_open=True), help="Start no trial after so many hours."),
    click.option("--max-cost", type=click.FloatRange(0, min_open=True),
                 help="Start no trial once the study has trained so many windows."),
    click.option("--max-failures", type=click.IntRange(0), help="Stop when more trials failed (diverged ones aside)."),
    click.option("--sampler", type=click.Choice(SAMPLERS), help="How parameters are proposed."),
    click.option("--pruner", type=click.Choice(PRUNERS), help="How slow trials are stopped."),
    click.option("--backend", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
                 help="auto: ray where more than one worker fits."),
    click.option("--workers", type=click.IntRange(1), help="Trials at once.  [default: as many as fit]"),
    click.option("--cpus-per-trial", type=click.FloatRange(0, min_open=True), help="CPUs of a trial."),
    click.option("--gpus-per-trial", type=click.FloatRange(0), help="GPUs of a trial; fractions share one."),
    click.option("--ray-address", help="A running Ray cluster: auto, or HOST:PORT."),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[default: cuda where there is one]"),
    click.option("--no-tracking", is_flag=True, help="Write nothing to MLflow."),
    root_option,
    storage_option,
    json_option,
]  # fmt: skip


def running_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that search and resume share: where and how to run."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.option("--space", help="Name or path of a space.  [default: the experiment's]")
@click.option("--experiment", default="polyglot-world", show_default=True, help="Name or path of an experiment.")
@click.option("--base", help="Base model: a hub name[@commit], a folder, minilm.  [default: the experiment's]")
@click.option("--study", help="Name of the study.  [default: <experiment>-<space>]")
@click.option("--seed", type=int, help="Seed of training, splits and sampler.  [default: the experiment's]")
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("data"), envvar="RATIO_HPO_DATA",
              show_envvar=True, help="Folder that paths in the experiment start from.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Refuse data files with bad records instead of mending and dropping.")
@click.option("--keep-leaks", is_flag=True, help="Train on passages and questions that evaluation data shares.")
@click.option("--dry-run", is_flag=True, help="Show data, splits, leaks, anchors and cost; train nothing.")
@running_options
def search(dry_run: bool, as_json: bool, **options: Any) -> None:
    """Search a space. The same command again continues the study; --trials is the total.

    \b
    ratio-hpo search --space default
    ratio-hpo search --space default --trials 24
    ratio-hpo search --experiment tydiqa-goldp --data-dir ~/data --dry-run
    """
    _go(_search_options(options), dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("study")
@running_options
def resume(study: str, as_json: bool, **options: Any) -> None:
    """Continue a study by its name, with the experiment, space and data that it was made with.

    \b
    ratio-hpo resume polyglot-world-default --trials 24
    """
    from ratio_hpo.cli.printing import open_view

    view = open_view(options["root"], options["storage"], study)
    made = dict(view.about["command"])
    made["data_dir"] = Path(made["data_dir"])
    for key in ("trials", "sampler", "pruner"):
        if options[key] is None:
            options[key] = view.about[key]
    _go(_search_options({**options, **made, "study": study}), dry_run=False, as_json=as_json)


def _search_options(options: dict[str, Any]) -> SearchOptions:
    from ratio_hpo.backends.resources import Resources
    from ratio_hpo.experiment.search import SearchOptions

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
    return SearchOptions(resources=resources, tracking=tracking, **values, **options)


def _go(options: SearchOptions, *, dry_run: bool, as_json: bool) -> None:
    from ratio_hpo.backends.driver import TooManyFailures
    from ratio_hpo.cli.display import Display
    from ratio_hpo.cli.dry_run import describe, print_plan
    from ratio_hpo.core.errors import StorageFullError
    from ratio_hpo.experiment.search import ready_search, run_search
    from ratio_hpo.study.study import FirstTrialFailed

    if dry_run:
        content = describe(ready_search(options, say))
        print_json(content) if as_json else print_plan(content)
        return
    try:
        ready, records = run_search(options, Display())
    except KeyboardInterrupt:
        command = shlex.join(["ratio-hpo", *sys.argv[1:]])
        fail(f"interrupted; everything is kept. To go on: {command}", 130)
    except (FirstTrialFailed, TooManyFailures, StorageFullError) as error:
        fail(str(error), 1)
    failed = [record for record in records if record.is_failure]
    _print_end(options, ready.plan.name, as_json=as_json)
    if failed:
        fail(f"{len(failed)} trial(s) failed; see `ratio-hpo trial {failed[0].number}`", 3)


def _print_end(options: SearchOptions, name: str, *, as_json: bool) -> None:
    """What came out: the front and where to look next."""
    from ratio_hpo.analysis.status import pareto, status
    from ratio_hpo.cli.printing import open_view
    from ratio_hpo.cli.read import print_front

    view = open_view(options.root, options.storage, name)
    if as_json:
        print_json(status(view))
        return
    content = status(view)
    counts = ", ".join(f"{value} {key}" for key, value in content["counts"].items() if value)
    click.echo(f"{name}: {counts}; hypervolume {content['hypervolume']:.3f}")
    print_front(pareto(view))
    best = content["best"]
    if best is not None:
        click.echo(f"Recommended: ratio {best['ratio']:.2f} (trial {best['number']}, mean F1 {best['f1']:.3f})")
    say("next: `ratio-hpo pareto`, `ratio-hpo ui`, `ratio-hpo trial N`; more trials: the same command with --trials")
