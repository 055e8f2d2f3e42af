"""What a search would do, without doing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.printing import count, number, print_table

if TYPE_CHECKING:
    from ratio_hpo.experiment.search import Search


def describe(search: Search) -> dict[str, Any]:
    """Data sizes, splits, leaks, anchors with realised shares and epochs, and the cost."""
    prepared, plan = search.prepared, search.plan
    anchors = [(anchor, prepared.pipeline.plan(anchor.params)) for anchor in plan.anchors]
    sampled = max(search.trials - len(anchors), 0)
    return {
        "schema": 1,
        "study": plan.name,
        "trials": search.trials,
        "base": search.experiment.base.name,
        "space": {key: domain.describe() for key, domain in search.space.parameters.items()},
        "sources": {
            stage: {
                name: {
                    "language": s.language,
                    "questions": s.size.questions,
                    "windows": s.size.windows,
                    "tokens": s.size.tokens,
                }
                for name, s in sources.items()
            }
            for stage, sources in prepared.design.sources.items()
        },
        "splits": prepared.splits,
        "problems": prepared.problems,
        "leaks": [leak.line(kept=prepared.keep_leaks) for leak in prepared.leaks],
        "rungs": {stage: list(grid) for stage, grid in plan.rungs.items()},
        "anchors": [{"kind": a.kind, "params": a.params, "plan": p} for a, p in anchors],
        "cost": {
            "largest_trial": plan.largest_cost,
            "anchors": sum(p["cost"] for _, p in anchors),
            "at_most": sum(p["cost"] for _, p in anchors) + sampled * plan.largest_cost,
        },
    }


def print_plan(content: dict[str, Any]) -> None:
    """The same as tables."""
    click.echo(f"study {content['study']}: {content['trials']} trials on base {content['base']}")
    for key, values in content["space"].items():
        click.echo(f"  {key}: {values}")
    for stage, sources in content["sources"].items():
        click.echo(f"\n{stage} stage")
        rows = [
            [
                name,
                s["language"],
                count(s["questions"]),
                count(s["windows"]),
                number(s["tokens"] / max(s["windows"], 1), 0),
            ]
            for name, s in sources.items()
        ]
        print_table(
            ["source", "language", "questions", "windows", "tokens/window"],
            rows,
            right=["questions", "windows", "tokens/window"],
        )
    click.echo("\nevaluation (questions)")
    print_table(
        ["language", "prune", "select", "test"], [[k, *map(str, v.values())] for k, v in content["splits"].items()]
    )
    for title in ("problems", "leaks"):
        if content[title]:
            click.echo(f"\n{title}")
            for line in content[title]:
                click.echo(f"  {line}")
    click.echo("\nanchors: realised share of windows (epochs)")
    names = list(content["sources"]["intermediate"])
    rows = []
    for anchor in content["anchors"]:
        middle = anchor["plan"]["stages"]["intermediate"]
        got = [middle["realised"][name] for name in names]
        cells = [f"{entry['share_windows']:.3f} ({entry['epochs']:.2f})" for entry in got]
        rows.append([anchor["kind"], number(middle["ratio_realised"]), *cells])
    print_table(["anchor", "ratio", *names], rows)
    cost = content["cost"]
    click.echo(
        f"\ncost: {cost['largest_trial']:,.0f} windows for the largest trial, {cost['anchors']:,.0f} for the anchors, "
        f"at most {cost['at_most']:,.0f} in all; nothing was trained"
    )
