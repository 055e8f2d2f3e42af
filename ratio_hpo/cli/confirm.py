"""The commands that retrain trials with fresh seeds: `confirm` and `noise`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.options import Decorator, json_option, named_study, option, root_option, storage_option, together
from ratio_hpo.cli.printing import open_stored, open_view, print_json, print_table
from ratio_hpo.cli.running import (
    fail_for,
    going_on_later,
    limit_options,
    machine_options,
    search_options,
    stored_command,
)
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.report.formatting import count, number, say

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ratio_hpo.experiment.confirm import ReplicationPlan, Tell
    from ratio_hpo.experiment.search_setup import Search
    from ratio_hpo.study.snapshot import StudyView

    Show = Callable[[dict[str, Any]], None]

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
    _train(view, to_confirm(view, top, seeds), answer, _print_confirmation, options)


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
    _train(view, to_measure_noise(view, seeds), noise_floor, _print_noise, options)


def _train(view: StudyView, replication: ReplicationPlan, tell: Tell, show: Show, options: dict[str, Any]) -> None:
    """Train the trials that have not ended, then compute and print the result."""
    from ratio_hpo.core.trial import failures
    from ratio_hpo.experiment.confirm import build_replication, track_answer, train, unfinished
    from ratio_hpo.report.live import Display

    as_json, dry_run = options.pop("as_json"), options.pop("dry_run")
    command, settings = stored_command(view, options)
    search = build_replication(view, replication, search_options({**options, **command}, settings), say)
    storage = open_stored(options["root"], options["storage"])
    if dry_run:
        content = _describe(search, replication, unfinished(storage, search))
        print_json(content) if as_json else _print_plan(content)
        return
    with going_on_later():
        records = train(storage, search, Display())
    if unfinished(storage, search):
        return  # `train` has printed the limit that stopped it
    requested = {(trial, seed) for trial in replication.numbers for seed in replication.seeds}
    failed = [record for record in failures(records) if (record.replicate_of, record.seed) in requested]
    if len(failed) < len(requested):
        content = tell(storage, view, replication, search.options)
        print_json(content) if as_json else show(content)
        track_answer(storage, view, search.options, say)
    fail_for(failed, search.plan.name)


def _describe(search: Search, replication: ReplicationPlan, left: Collection[tuple[int, int]]) -> dict[str, Any]:
    """Return what would be trained and its maximum cost.

    Args:
        left: (trial, seed) pairs that have not ended yet.
    """
    from ratio_hpo.study.plan import CONFIRMATION

    plans = {
        record.number: search.plan_trial(record.params, replication.seeds[0]).cost for record in replication.trials
    }
    costs = {number: search.plan.largest_cost if cost is None else cost for number, cost in plans.items()}
    return {
        "schema": SCHEMA,
        "study": search.plan.name.removesuffix(CONFIRMATION),
        "confirmation": search.plan.name,
        "trials": [
            {"trial": r.number, "kind": r.kind, "ratio": r.ratio, "cost": costs[r.number]} for r in replication.trials
        ],
        "seeds": list(replication.seeds),
        "left": len(left),
        "cost_unit": search.plan.about.cost_unit,
        "cost": sum(costs[number] for number, _ in left),
    }


def _print_plan(content: dict[str, Any]) -> None:
    rows = [[str(e["trial"]), e["kind"], number(e["ratio"], 2), count(e["cost"])] for e in content["trials"]]
    print_table(["trial", "kind", "ratio", "cost"], rows, right=["trial", "ratio", "cost"])
    total, unit = content["cost"], content["cost_unit"]
    click.echo(f"each with seeds {', '.join(map(str, content['seeds']))}")
    click.echo(f"{content['left']} trial(s) are left to train, at most {total:,.0f} {unit}")


def _print_confirmation(content: dict[str, Any]) -> None:
    measure, names = content["measure"], list(content["entrants"][0]["by_language"])
    click.echo(f"{measure} on {content['split']}, {len(content['seeds'])} seeds: mean with 95 % interval, standard")
    click.echo("deviation over seeds, and probability of being on the cost-score front")
    rows = [
        [e["label"], count(e["cost"]), _score(e["score"]), number(e["score"]["sd"]), number(e["on_front"], 2)]
        for e in content["entrants"]
    ]
    print_table(["", "cost", "mean", "sd", "front"], rows, right=["cost", "mean", "sd", "front"])
    click.echo()
    for begin in range(0, len(names), 3):
        chosen = names[begin : begin + 3]
        rows = [[e["label"], *(_score(e["by_language"][name]) for name in chosen)] for e in content["entrants"]]
        print_table(["", *chosen], rows, right=chosen)
        click.echo()
    labels = {e["trial"]: e["label"] for e in content["entrants"]}
    rows = [
        [
            f"{labels[p['first']]} - {labels[p['second']]}",
            f"{p['mean']:+.3f} [{p['low']:+.3f}, {p['high']:+.3f}]",
            number(p["probability"]),
        ]
        for p in content["pairs"]
    ]
    print_table(["difference of means", "", "P(first beats)"], rows, right=["P(first beats)"])
    click.echo()
    if content["split"] == "test":
        readings = len(content["readings"])
        warning = "; every further reading makes the test split less reliable" if readings > 1 else ""
        click.echo(f"reading {readings} of test{warning}")
    else:
        click.echo("the objective reports one score: seeds are fresh, but no test split was held out")
    for line in textwrap.wrap(content["sentence"], WIDTH):
        click.echo(line)


def _print_noise(content: dict[str, Any]) -> None:
    names = list(content["by_language"])
    click.echo(f"standard deviation of {content['measure']} on validation over {len(content['seeds'])} seeds")
    shown = names[:8]
    rows = [
        [p["label"], number(p["mean"]), number(p["sd"], 4), *(number(p["by_language"][name]) for name in shown)]
        for p in content["places"]
    ]
    rows.append(["all trials", "", number(content["sd"], 4), *(number(content["by_language"][name]) for name in shown)])
    print_table(["", "mean", "sd", *shown], rows, right=["mean", "sd", *shown])
    smallest, by_language = content["smallest_visible"], content["smallest_visible_by_language"]
    if smallest is not None:
        click.echo(f"\nSmallest true difference that {len(content['seeds'])} seeds detect with 80 % power:")
        parts = ", ".join(f"{name} {by_language[name]:.3f}" for name in names)
        for line in textwrap.wrap(f"mean {smallest:.4f}; {parts}", WIDTH):
            click.echo(line)


def _score(score: dict[str, float]) -> str:
    return f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
