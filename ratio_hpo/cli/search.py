"""Commands that train: search and resume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.options import (
    Decorator,
    Finite,
    complete_studies,
    json_option,
    needed,
    needed_study,
    option,
    root_option,
    storage_option,
    together,
)
from ratio_hpo.cli.printing import print_json
from ratio_hpo.cli.running import (
    fail_for,
    going_on_later,
    limit_options,
    machine_options,
    search_options,
    stored_command,
)
from ratio_hpo.core.names import PRUNERS, SAMPLERS
from ratio_hpo.show.formatting import say

if TYPE_CHECKING:
    from ratio_hpo.experiment.search_setup import Search, SearchOptions

KEEP = ["front", "best", "all", "none"]
DEFAULT_EXPERIMENT = "polyglot-world"

running_options: Decorator = together(
    option("--trials", type=click.IntRange(1), help="Trials in the study in all.  [default: the experiment's]"),
    limit_options,
    option("--max-cost", type=Finite(0, min_open=True),
           help="Start no trial once the study has trained so much, in its unit of cost."),
    option("--sampler", type=click.Choice(SAMPLERS), help="How parameters are proposed."),
    option("--warm-start", metavar="STUDY", shell_complete=complete_studies,
           help="Another study of the same storage to learn from: other languages, a smaller base or budget."),
    option("--prior", multiple=True, metavar="KEY=VALUE",
           help="Where you believe that the best value of a parameter lies: --prior ratio=0.3. May be repeated."),
    option("--pruner", type=click.Choice(PRUNERS), help="How slow trials are stopped."),
    option("--keep", type=click.Choice(KEEP), help="Whose weights are kept.  [default: the experiment's, front]"),
    machine_options,
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
@click.option("--dry-run", is_flag=True, help="Show data, leaks, baselines, first proposals, cost and time; no search.")
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
    ready = search_options({**options, "experiment": experiment}, settings)
    if show_config:
        from ratio_hpo.cli.settings import show_config as show

        show(ctx, ready, as_json=as_json)
        return
    _go(ready, dry_run=dry_run, as_json=as_json)


@click.command()
@needed_study
@running_options
@click.pass_context
def resume(ctx: click.Context, study: str | None, as_json: bool, assignments: Sequence[str], **options: Any) -> None:
    """Continue a study by its name, with the experiment, space and data that it was made with.

    \b
    ratio-hpo resume polyglot-world-default --trials 24
    """
    from ratio_hpo.cli.printing import open_view
    from ratio_hpo.cli.settings import flag_settings

    view = open_view(options["root"], options["storage"], needed(study))
    command, made = stored_command(view, options)
    settings = [*made, *flag_settings(ctx, options, assignments)]
    _go(search_options({**options, **command}, settings), dry_run=False, as_json=as_json)


def _go(options: SearchOptions, *, dry_run: bool, as_json: bool) -> None:
    from ratio_hpo.cli.dry_run import describe, print_plan
    from ratio_hpo.core.trial import failures
    from ratio_hpo.experiment.build_search import build_search
    from ratio_hpo.experiment.search import run_search
    from ratio_hpo.show.live import Display

    with going_on_later():
        ready = build_search(options, say)
        if dry_run:
            content = describe(ready)
            print_json(content) if as_json else print_plan(content)
            return
        records = run_search(ready, Display())
    _print_end(ready, as_json=as_json)
    fail_for(failures(records))


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
        measured = f"{content['measure']} {record.scored[-1].primary_score:.3f} measured{expected}"
        click.echo(f"Recommended: {ratio}trial {record.number}, {measured}\n({found.why})")
        kept = ready.options.folder.kept(view.name, found.weights)
        if kept is not None:
            click.echo(f"Weights: {kept.relative_to(Path.cwd()) if kept.is_relative_to(Path.cwd()) else kept}")
    say("next: `ratio-hpo confirm`, `ratio-hpo report`, `ratio-hpo ui`;\nmore: the same command with --trials")
