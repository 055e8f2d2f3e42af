"""Commands that train again with fresh seeds: confirm and noise."""

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
from ratio_hpo.show.formatting import count, number, say

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ratio_hpo.experiment.confirm import ReplicationPlan, Tell
    from ratio_hpo.experiment.search_setup import Search
    from ratio_hpo.study.view import StudyView

    Show = Callable[[dict[str, Any]], None]

WIDTH = 80

again_options: Decorator = together(
    option("--seeds", type=click.IntRange(2), default=5, show_default=True,
           help="Fresh seeds, the same ones for each; more may be asked for later."),
    click.option("--dry-run", is_flag=True, help="Show what would be trained, and its cost; train nothing."),
    limit_options,
    machine_options,
    named_study,
    root_option,
    storage_option,
    json_option,
)  # fmt: skip


@click.command()
@option("--top", type=click.IntRange(1), default=3, show_default=True, help="Finalists beside the baselines.")
@again_options
def confirm(top: int, seeds: int, study: str | None, **options: Any) -> None:
    """Train finalists and baselines again with fresh seeds, and say which ratio beats what, and how sure that is.

    Finalists are the recommended trial, and those of the front that the response model expects most of. `test` is read
    here and nowhere else; each reading is numbered. The same command goes on after an interruption, and prints the
    answer when all has been trained; more --seeds or --top add to what is there.

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
    """Train the baselines and one extreme again with fresh seeds, and say how far seeds alone move scores.

    Scores are those of `validation`; `test` is not read. What is trained here counts for `confirm` too.

    \b
    ratio-hpo noise
    ratio-hpo noise polyglot-world-default --seeds 5
    """
    from ratio_hpo.experiment.confirm import noise_floor, to_measure_noise

    view = open_view(options["root"], options["storage"], study)
    _train(view, to_measure_noise(view, seeds), noise_floor, _print_noise, options)


def _train(view: StudyView, again: ReplicationPlan, tell: Tell, show: Show, options: dict[str, Any]) -> None:
    """Train what is left to train, and show what is told of it."""
    from ratio_hpo.core.trial import failures
    from ratio_hpo.experiment.confirm import build_replication, track_answer, train, unfinished
    from ratio_hpo.show.live import Display

    as_json, dry_run = options.pop("as_json"), options.pop("dry_run")
    command, settings = stored_command(view, options)
    search = build_replication(view, again, search_options({**options, **command}, settings), say)
    storage = open_stored(options["root"], options["storage"])
    if dry_run:
        content = _describe(search, again, unfinished(storage, search))
        print_json(content) if as_json else _print_plan(content)
        return
    with going_on_later():
        records = train(storage, search, Display())
    if unfinished(storage, search):
        return  # it has said at which limit it stopped
    asked = {(trial, seed) for trial in again.numbers for seed in again.seeds}
    failed = [record for record in failures(records) if (record.replicate_of, record.seed) in asked]
    if len(failed) < len(asked):
        content = tell(storage, view, again, search.options)
        print_json(content) if as_json else show(content)
        track_answer(storage, view, search.options, say)
    fail_for(failed, search.plan.name)


def _describe(search: Search, again: ReplicationPlan, left: Collection[tuple[int, int]]) -> dict[str, Any]:
    """What would be trained, and what it costs at most.

    Args:
        left: trials and seeds that have not ended yet.
    """
    from ratio_hpo.study.plan import CONFIRMATION

    plans = {record.number: search.plan_trial(record.params, again.seeds[0]).cost for record in again.trials}
    costs = {number: search.plan.largest_cost if cost is None else cost for number, cost in plans.items()}
    return {
        "schema": SCHEMA,
        "study": search.plan.name.removesuffix(CONFIRMATION),
        "confirmation": search.plan.name,
        "trials": [
            {"trial": r.number, "kind": r.kind, "ratio": r.ratio, "cost": costs[r.number]} for r in again.trials
        ],
        "seeds": list(again.seeds),
        "left": len(left),
        "cost_unit": search.plan.about.cost_unit,
        "cost": sum(costs[number] for number, _ in left),
    }


def _print_plan(content: dict[str, Any]) -> None:
    rows = [[str(e["trial"]), e["kind"], number(e["ratio"], 2), count(e["cost"])] for e in content["trials"]]
    print_table(["trial", "kind", "ratio", "cost"], rows, right=["trial", "ratio", "cost"])
    total, unit = content["cost"], content["cost_unit"]
    click.echo(f"each with seeds {', '.join(map(str, content['seeds']))}")
    click.echo(f"{content['left']} trial(s) are left to train: at most {total:,.0f} {unit}")


def _print_confirmation(content: dict[str, Any]) -> None:
    measure, names = content["measure"], list(content["entrants"][0]["by_language"])
    click.echo(f"{measure} on {content['split']}, {len(content['seeds'])} seeds: mean with its 95 % interval, sd over")
    click.echo("seeds, and the probability of being on the front of cost and score")
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
        again = "; each further one makes it less of a test" if readings > 1 else ""
        click.echo(f"reading {readings} of test{again}")
    else:
        click.echo("the objective yields one score: fresh seeds, but no questions kept for the end")
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
    rows.append(["all places", "", number(content["sd"], 4), *(number(content["by_language"][name]) for name in shown)])
    print_table(["", "mean", "sd", *shown], rows, right=["mean", "sd", *shown])
    smallest, least = content["smallest_visible"], content["smallest_visible_by_language"]
    if smallest is not None:
        click.echo(f"\nThe smallest true difference that {len(content['seeds'])} seeds find in four of five cases:")
        by_language = ", ".join(f"{name} {least[name]:.3f}" for name in names)
        for line in textwrap.wrap(f"of the mean {smallest:.4f}; {by_language}", WIDTH):
            click.echo(line)


def _score(score: dict[str, float]) -> str:
    return f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
