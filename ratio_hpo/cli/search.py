"""The commands that search: `search` and `resume`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.options import (
    Decorator,
    Finite,
    complete_studies,
    component_option,
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
    limit_options,
    machine_options,
    repeated_options,
    resumable_on_interrupt,
    search_options,
)
from ratio_hpo.pruners.registry import PRUNERS
from ratio_hpo.report.formatting import counted, say
from ratio_hpo.samplers.registry import SAMPLERS

if TYPE_CHECKING:
    from ratio_hpo.experiment.search_setup import RunOptions, Search

KEEP = ["front", "best", "all", "none"]
DEFAULT_EXPERIMENT = "polyglot-world"

running_options: Decorator = together(
    option("--trials", type=click.IntRange(1),
           help="Total number of trials in the study.  [default: from the experiment]"),
    limit_options,
    option("--max-cost", type=Finite(0, min_open=True),
           help="Start no new trial once the paid training cost reaches this, in the study's cost unit."),
    component_option("--sampler", SAMPLERS, "Sampler that proposes parameters"),
    option("--warm-start", metavar="STUDY", shell_complete=complete_studies,
           help="Learn from another study in the same storage (other languages, a smaller base or budget)."),
    option("--prior", multiple=True, metavar="KEY=VALUE",
           help="Expected best value of a parameter: --prior ratio=0.3. May be repeated."),
    component_option("--pruner", PRUNERS, "Pruner that stops poor trials"),
    option("--keep", type=click.Choice(KEEP),
           help="Which trials' weights to keep.  [default: from the experiment, front]"),
    machine_options,
    click.option("-S", "--set", "assignments", multiple=True, metavar="KEY=VALUE",
                 help="Set any key of the experiment: -S stages.target.steps=80. May be repeated."),
    root_option,
    storage_option,
    json_option,
)  # fmt: skip


@click.command()
@option("--space", help="Name or path of a search space.  [default: from the experiment]")
@option("--experiment", help=f"Name or path of an experiment.  [default: {DEFAULT_EXPERIMENT}]")
@option(
    "--objective", metavar="PACKAGE.MODULE:FUNCTION", help="Custom objective, a generator of Progress; needs --rungs."
)
@option("--rungs", metavar="W,W,...", help="Windows at which the custom objective is evaluated and compared.")
@option("--base", help="Base model: a hub name[@commit], a folder, minilm.  [default: from the experiment]")
@option("--study", help="Name of the study.  [default: <experiment>-<space>]")
@option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Seed of training, splits and sampler.  [default: from the experiment]",
)
@option("--data-dir", type=click.Path(path_type=Path), default=Path("data"), envvar="RATIO_HPO_DATA",
        show_envvar=True, help="Folder to which paths in the experiment are relative.")  # fmt: skip
@option(
    "--strict", is_flag=True, help="Refuse data files with bad records instead of repairing or dropping the records."
)
@option("--keep-leaks", is_flag=True, help="Keep training passages and questions that also occur in evaluation data.")
@click.option(
    "--dry-run", is_flag=True, help="Show data, leaks, baselines, first proposals, cost and time; train nothing."
)
@click.option("--show-config", is_flag=True, help="Show every key in effect and where its value came from.")
@running_options
@click.pass_context
def search(
    ctx: click.Context, dry_run: bool, show_config: bool, as_json: bool, assignments: Sequence[str], **options: Any
) -> None:
    """Search a space. Run the same command again to continue the study; --trials is the total.

    A flag overrides a RATIO_HPO_* variable, which overrides the experiment file, which overrides the default.

    \b
    ratio-hpo search --space default
    ratio-hpo search --space default --trials 24 -S stages.target.steps=80
    ratio-hpo search --experiment tydiqa-goldp --data-dir ~/data --dry-run
    ratio-hpo search --objective my_module:train --rungs 100,200,400
    """
    from ratio_hpo.cli.running import search_settings

    settings = search_settings(ctx, options, assignments)
    is_custom = any(setting.key == "objective" for setting in settings)
    experiment = options.pop("experiment") or (None if is_custom else DEFAULT_EXPERIMENT)
    prepared = search_options({**options, "experiment": experiment}, settings)
    if show_config:
        from ratio_hpo.cli.running import show_config as show

        show(ctx, prepared, as_json=as_json)
        return
    _run(prepared, dry_run=dry_run, as_json=as_json)


@click.command()
@needed_study
@running_options
@click.pass_context
def resume(ctx: click.Context, study: str | None, as_json: bool, assignments: Sequence[str], **options: Any) -> None:
    """Resume a study by its name, with the experiment, space and data that it was created with.

    \b
    ratio-hpo resume polyglot-world-default --trials 24
    """
    from ratio_hpo.cli.printing import open_view
    from ratio_hpo.cli.running import flag_settings

    view = open_view(options["root"], options["storage"], needed(study))
    settings = flag_settings(ctx, options, assignments)
    _run(repeated_options(view, options, settings), dry_run=False, as_json=as_json)


def _run(options: RunOptions, *, dry_run: bool, as_json: bool) -> None:
    from ratio_hpo.cli.dry_run import print_search_preview
    from ratio_hpo.core.trial import failures
    from ratio_hpo.experiment.build_search import build_search
    from ratio_hpo.experiment.preview import preview_search
    from ratio_hpo.experiment.search import run_search
    from ratio_hpo.report.live import Display

    with resumable_on_interrupt():
        setup = build_search(options, say)
        if dry_run:
            preview = preview_search(setup)
            print_json(preview) if as_json else print_search_preview(preview)
            return
        records = run_search(setup, Display())
    _print_result(setup, as_json=as_json)
    fail_for(failures(records))


def _print_result(setup: Search, *, as_json: bool) -> None:
    """Print the front, the recommended trial and the next commands."""
    from ratio_hpo.analysis.recommend import pareto, recommend
    from ratio_hpo.analysis.status import status
    from ratio_hpo.cli.ask import print_front
    from ratio_hpo.cli.printing import open_view

    view = open_view(setup.options.root, setup.options.storage, setup.plan.name)
    content = status(view)
    if as_json:
        print_json(content)
        return
    click.echo(f"{view.name}: {counted(content.counts)}; hypervolume {content.hypervolume:.3f}")
    print_front(pareto(view))
    advice = recommend(view)
    if advice is not None:
        record = advice.record
        ratio = "" if record.ratio is None else f"ratio {record.ratio:.2f}, "
        expected = "" if advice.mean is None else f", expected {advice.mean:.3f} ± {advice.sd:.3f}"
        measured = f"{content.measure} {record.scored[-1].primary_score:.3f} measured{expected}"
        click.echo(f"Recommended: {ratio}trial {record.number}, {measured}\n({advice.why})")
        weights = setup.options.folder.kept(view.name, advice.weights)
        if weights is not None:
            click.echo(f"Weights: {weights.relative_to(Path.cwd()) if weights.is_relative_to(Path.cwd()) else weights}")
    say("next: `ratio-hpo confirm`, `ratio-hpo report`, `ratio-hpo ui`;\nfor more trials, raise --trials")
