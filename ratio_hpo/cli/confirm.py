"""The commands that retrain trials with fresh seeds: `confirm` and `noise`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.options import Decorator, json_option, named_study, option, root_option, storage_option, together
from ratio_hpo.cli.printing import open_stored, open_view, print_json, print_table
from ratio_hpo.cli.running import fail_for, limit_options, machine_options, repeated_options, resumable_on_interrupt
from ratio_hpo.report.formatting import count, number, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from ratio_hpo.analysis.confirmation_results import Confirmation, Noise
    from ratio_hpo.experiment.confirm import Evaluate, R, ReplicationPlan
    from ratio_hpo.experiment.preview import ConfirmationPreview
    from ratio_hpo.study.snapshot import StudyView

WIDTH = 80

again_options: Decorator = together(
    option("--seeds", type=click.IntRange(2), default=5, show_default=True,
           help="Number of fresh seeds, the same for every trial; can be raised later."),
    click.option("--dry-run", is_flag=True, help="Show what would be trained and its cost; train nothing."),
    limit_options,
    machine_options,
    named_study,
    root_option,
    storage_option,
    json_option,
)  # fmt: skip


@click.command()
@option(
    "--top",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Number of finalists to train in addition to the baselines.",
)
@again_options
def confirm(top: int, seeds: int, study: str | None, **options: Any) -> None:
    """Retrain finalists and baselines with fresh seeds, and report which ratios differ and how certain that is.

    Finalists are the recommended trial and the front trials with the highest predicted scores. The `test` split is read
    only by this command, and each reading is counted. Run the same command again to continue after an interruption; it
    prints the result when all trials have ended. A larger --seeds or --top adds to the existing trials.

    \b
    ratio-hpo confirm
    ratio-hpo confirm polyglot-world-default --top 3 --seeds 5
    ratio-hpo confirm --seeds 5 --dry-run
    """
    from ratio_hpo.experiment.confirm import answer, to_confirm

    view = open_view(options["root"], options["storage"], study)
    _replicate(view, to_confirm(view, top, seeds), answer, _print_confirmation, options)


@click.command()
@again_options
def noise(seeds: int, study: str | None, **options: Any) -> None:
    """Retrain the baselines and one extreme mixture with fresh seeds, and report how much scores vary between seeds.

    Scores are from the `validation` split; `test` is not read. `confirm` reuses the trials trained here.

    \b
    ratio-hpo noise
    ratio-hpo noise polyglot-world-default --seeds 5
    """
    from ratio_hpo.experiment.confirm import noise_floor, to_measure_noise

    view = open_view(options["root"], options["storage"], study)
    _replicate(view, to_measure_noise(view, seeds), noise_floor, _print_noise, options)


def _replicate(
    view: StudyView, plan: ReplicationPlan, evaluate: Evaluate[R], show: Callable[[R], None], options: dict[str, Any]
) -> None:
    """Train the trials that have not ended and print the result, or with --dry-run print what would be trained."""
    from ratio_hpo.experiment.confirm import replicate
    from ratio_hpo.experiment.preview import preview_confirmation
    from ratio_hpo.report.live import Display

    as_json, dry_run = options.pop("as_json"), options.pop("dry_run")
    prepared = repeated_options(view, options)
    storage = open_stored(options["root"], options["storage"])
    if dry_run:
        preview = preview_confirmation(storage, view, plan, prepared, say)
        print_json(preview) if as_json else _print_preview(preview)
        return
    with resumable_on_interrupt():
        outcome = replicate(storage, view, plan, prepared, Display(), evaluate, show=print_json if as_json else show)
    fail_for(outcome.failed, outcome.name)


def _print_preview(preview: ConfirmationPreview) -> None:
    rows = [[str(trial.trial), trial.kind, number(trial.ratio, 2), count(trial.cost)] for trial in preview.trials]
    print_table(["trial", "kind", "ratio", "cost"], rows, right=["trial", "ratio", "cost"])
    click.echo(f"each with seeds {', '.join(map(str, preview.seeds))}")
    click.echo(f"{preview.left} trial(s) are left to train, at most {preview.cost:,.0f} {preview.cost_unit}")


def _print_confirmation(result: Confirmation) -> None:
    names = list(result.entrants[0].by_language)
    click.echo(f"{result.measure} on {result.split}, {len(result.seeds)} seeds: mean with 95 % interval, standard")
    click.echo("deviation over seeds, and probability of being on the cost-score front")
    rows = [
        [entrant.label, count(entrant.cost), str(entrant.score), number(entrant.score.sd), number(entrant.on_front, 2)]
        for entrant in result.entrants
    ]
    print_table(["", "cost", "mean", "sd", "front"], rows, right=["cost", "mean", "sd", "front"])
    click.echo()
    for begin in range(0, len(names), 3):
        columns = names[begin : begin + 3]
        rows = [[e.label, *(str(e.by_language[name]) for name in columns)] for e in result.entrants]
        print_table(["", *columns], rows, right=columns)
        click.echo()
    labels = {entrant.trial: entrant.label for entrant in result.entrants}
    rows = []
    for pair in result.pairs:
        interval = f"{pair.mean:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}]"
        rows.append([f"{labels[pair.first]} - {labels[pair.second]}", interval, number(pair.probability)])
    print_table(["difference of means", "", "P(first beats)"], rows, right=["P(first beats)"])
    click.echo()
    if result.split == "test":
        readings = len(result.readings)
        warning = "; every further reading makes the test split less reliable" if readings > 1 else ""
        click.echo(f"reading {readings} of test{warning}")
    else:
        click.echo("the objective reports one score: seeds are fresh, but no test split was held out")
    click.echo(textwrap.fill(result.sentence, WIDTH))


def _print_noise(result: Noise) -> None:
    names = list(result.by_language)
    click.echo(f"standard deviation of {result.measure} on validation over {len(result.seeds)} seeds")
    columns = names[:8]
    rows = [
        [t.label, number(t.mean), number(t.sd, 4), *(number(t.by_language[name]) for name in columns)]
        for t in result.trials
    ]
    rows.append(["all trials", "", number(result.sd, 4), *(number(result.by_language[name]) for name in columns)])
    print_table(["", "mean", "sd", *columns], rows, right=["mean", "sd", *columns])
    if result.smallest_visible is not None:
        click.echo(f"\nSmallest true difference that {len(result.seeds)} seeds detect with 80 % power:")
        parts = ", ".join(f"{name} {number(value)}" for name, value in result.smallest_visible_by_language.items())
        click.echo(textwrap.fill(f"mean {result.smallest_visible:.4f}; {parts}", WIDTH))
