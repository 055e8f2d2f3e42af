"""The dry run of a search: what it would train, and at what cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.printing import print_table
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.measures import SPLITS
from ratio_hpo.report.formatting import count, duration, number, settings

if TYPE_CHECKING:
    from ratio_hpo.experiment.search_setup import Search


def describe(search: Search) -> dict[str, Any]:
    """Return data sizes, splits, leaks, baselines with realised shares, first proposals, cost and time."""
    from ratio_hpo.experiment.preview import estimate_time, first_proposals

    time = estimate_time(search)
    plan, trials = search.plan, search.spec.trials
    baselines = [(baseline, search.plan_trial(baseline.params, plan.seed)) for baseline in plan.baselines]
    baseline_cost = sum(plan.largest_cost if p.cost is None else p.cost for _, p in baselines)
    return {
        "schema": SCHEMA,
        "study": plan.name,
        "trials": trials,
        "base": plan.about.base,
        "space": {key: domain.describe() for key, domain in plan.space.parameters.items()},
        **_data(search),
        "rungs": {stage: list(grid) for stage, grid in plan.rungs.items()},
        "baselines": [{"kind": b.kind, "params": b.params, "plan": asdict(p)} for b, p in baselines],
        "proposals": [{"trial": job.number, "kind": job.kind, "params": job.params} for job in first_proposals(search)],
        "cost": {
            "unit": plan.about.cost_unit,
            "largest_trial": plan.largest_cost,
            "baselines": baseline_cost,
            "at_most": baseline_cost + max(trials - len(baselines), 0) * plan.largest_cost,
        },
        "time": None if time is None else asdict(time),
    }


def _data(search: Search) -> dict[str, Any]:
    """Return the training sources and evaluation splits; empty for a custom objective."""
    data = search.data
    return {
        "sources": {
            stage: {
                name: {
                    "task": s.size.task,
                    "language": s.language,
                    "translated_from": s.translated_from,
                    "rows": s.rows,
                    "questions": s.size.questions,
                    "windows": s.size.windows,
                    "tokens": s.size.tokens,
                }
                for name, s in sources.items()
            }
            for stage, sources in data.sources.items()
        },
        "splits": {
            target: {language: dict(sizes) for language, sizes in languages.items()}
            for target, languages in data.splits.items()
        },
        "problems": list(data.problems),
        "leaks": list(data.leaks),
    }


def print_plan(content: dict[str, Any]) -> None:
    """Print the content that `describe` returns as tables."""
    base = f" on base {content['base']}" if content["base"] else ""
    click.echo(f"study {content['study']}: {content['trials']} trials{base}")
    for key, values in content["space"].items():
        click.echo(f"  {key}: {values}")
    for stage, sources in content["sources"].items():
        click.echo(f"\n{stage} stage")
        numeric = ["items", "windows", "rows", "tokens/window"]
        rows = [
            [
                name,
                s["task"],
                s["language"] + (f" (from {s['translated_from']})" if s["translated_from"] else ""),
                count(s["questions"]),
                count(s["windows"]),
                count(s["rows"]),
                number(s["tokens"] / max(s["windows"], 1), 0),
            ]
            for name, s in sources.items()
        ]
        print_table(["source", "task", "language", *numeric], rows, right=numeric)
    if content["splits"]:
        click.echo("\nevaluation (items)")
        rows = [
            [target, language, *map(str, sizes.values())]
            for target, languages in content["splits"].items()
            for language, sizes in languages.items()
        ]
        print_table(["target", "language", *SPLITS], rows)
    for title in ("problems", "leaks"):
        if content[title]:
            click.echo(f"\n{title}")
            for line in content[title]:
                click.echo(f"  {line}")
    _print_baselines(content)
    click.echo("\nfirst proposals of a new study")
    rows = [[str(p["trial"]), p["kind"], _mixture(p["params"]), settings(p["params"])] for p in content["proposals"]]
    print_table(["trial", "kind", "mixture", "settings"], rows, right=["trial"])
    cost, time = content["cost"], content["time"]
    click.echo(
        f"\ncost: {cost['largest_trial']:,.0f} {cost['unit']} for the largest trial, "
        f"{cost['baselines']:,.0f} for the baselines, at most {cost['at_most']:,.0f} in all"
    )
    if time is None:
        click.echo("time: unknown for a custom objective")
    else:
        click.echo(
            f"time: {duration(time['largest_trial_seconds'])} for the largest trial, at most "
            f"{duration(time['at_most_seconds'])} in all with {time['workers']} worker(s), from "
            f"{time['steps_timed']} timed steps; pruning and shared stages reduce it"
        )
    click.echo("dry run: nothing was trained")


def _print_baselines(content: dict[str, Any]) -> None:
    names = list(content["sources"].get("intermediate", {}))
    if not names:
        return
    click.echo("\nbaselines: realised share of windows (epochs)")
    rows = []
    for baseline in content["baselines"]:
        intermediate = baseline["plan"]["stages"].get("intermediate")
        if intermediate is None:
            rows.append([baseline["kind"], "-", *("-" for _ in names)])
            continue
        sources = [intermediate["sources"][name] for name in names]
        cells = [f"{source['share_windows']:.3f} ({source['epochs']:.2f})" for source in sources]
        rows.append([baseline["kind"], number(intermediate["ratio_realised"]), *cells])
    print_table(["baseline", "ratio", *names], rows)
    for key in ("task", "language"):
        _print_shares(content, key)


def _print_shares(content: dict[str, Any], key: str) -> None:
    """Print the realised shares of windows by task or by language, if the sources have several tasks."""
    plans = {b["kind"]: b["plan"]["stages"].get("intermediate") for b in content["baselines"]}
    names = list(dict.fromkeys(s[key] for s in content["sources"]["intermediate"].values()))
    if len({s["task"] for s in content["sources"]["intermediate"].values()}) < 2:
        return
    click.echo(f"\nbaselines: realised share of windows (of tokens) by {key}")
    rows = []
    for kind, plan in plans.items():
        cells = []
        for name in names:
            sources = [s for s in plan["sources"].values() if s[key] == name] if plan else []
            windows, tokens = (sum(s[f"share_{unit}"] for s in sources) for unit in ("windows", "tokens"))
            cells.append(f"{windows:.3f} ({tokens:.3f})" if plan else "-")
        rows.append([kind, *cells])
    print_table(["baseline", *names], rows)


def _mixture(params: dict[str, Any]) -> str:
    if "shares" in params and "ratio" not in params:
        return " ".join(f"{name}={share:.2f}" for name, share in params["shares"].items())
    return f"ratio {params['ratio']:.3f}" if "ratio" in params else "-"
