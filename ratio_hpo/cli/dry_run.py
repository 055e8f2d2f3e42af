"""Print what a search would train, and at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from ratio_hpo.cli.printing import print_table
from ratio_hpo.core.measures import SPLITS
from ratio_hpo.report.formatting import count, duration, number, settings

if TYPE_CHECKING:
    from ratio_hpo.core.trial import Params
    from ratio_hpo.experiment.preview import SearchPreview


def print_search_preview(preview: SearchPreview) -> None:
    """Print the preview of a search as tables."""
    base = f" on base {preview.base}" if preview.base else ""
    click.echo(f"study {preview.study}: {preview.trials} trials{base}")
    for key, domain in preview.space.items():
        click.echo(f"  {key}: {domain}")
    _print_data(preview)
    _print_baselines(preview)
    click.echo("\nfirst proposals of a new study")
    rows = [[str(p.trial), p.kind, _mixture(p.params), settings(p.params)] for p in preview.proposals]
    print_table(["trial", "kind", "mixture", "settings"], rows, right=["trial"])
    cost, time = preview.cost, preview.time
    click.echo(
        f"\ncost: {cost.largest_trial:,.0f} {cost.unit} for the largest trial, "
        f"{cost.baselines:,.0f} for the baselines, at most {cost.at_most:,.0f} in all"
    )
    if time is None:
        click.echo("time: unknown for a custom objective")
    else:
        click.echo(
            f"time: {duration(time.largest_trial_seconds)} for the largest trial, at most "
            f"{duration(time.at_most_seconds)} in all with {time.workers} worker(s), from "
            f"{time.steps_timed} timed steps; pruning and shared stages reduce it"
        )
    click.echo("dry run: nothing was trained")


def _print_data(preview: SearchPreview) -> None:
    numeric = ["items", "windows", "rows", "tokens/window"]
    for stage, sources in preview.sources.items():
        click.echo(f"\n{stage} stage")
        rows = []
        for name, source in sources.items():
            origin = f" (from {source.translated_from})" if source.translated_from else ""
            sizes = [count(size) for size in (source.questions, source.windows, source.rows)]
            tokens = number(source.tokens / max(source.windows, 1), 0)
            rows.append([name, source.task, source.language + origin, *sizes, tokens])
        print_table(["source", "task", "language", *numeric], rows, right=numeric)
    if preview.splits:
        click.echo("\nevaluation (items)")
        rows = [
            [target, language, *map(str, sizes.values())]
            for target, languages in preview.splits.items()
            for language, sizes in languages.items()
        ]
        print_table(["target", "language", *SPLITS], rows)
    for title, lines in (("problems", preview.problems), ("leaks", preview.leaks)):
        if lines:
            click.echo("\n".join([f"\n{title}", *(f"  {line}" for line in lines)]))


def _print_baselines(preview: SearchPreview) -> None:
    """Print the realised shares of windows by source, and by task and language if the sources have several tasks."""
    sources = preview.sources.get("intermediate")
    if not sources:
        return
    click.echo("\nbaselines: realised share of windows (epochs)")
    rows = []
    for baseline in preview.baselines:
        plan = baseline.plan.stages.get("intermediate")
        planned = [plan.sources[name] for name in sources] if plan else []
        cells = [f"{source.share_windows:.3f} ({source.epochs:.2f})" for source in planned] or ["-"] * len(sources)
        rows.append([baseline.kind, number(plan.ratio_realised if plan else None), *cells])
    print_table(["baseline", "ratio", *sources], rows)
    if len({source.task for source in sources.values()}) > 1:
        _print_shares(preview, "task", list(dict.fromkeys(source.task for source in sources.values())))
        _print_shares(preview, "language", list(dict.fromkeys(source.language for source in sources.values())))


def _print_shares(preview: SearchPreview, key: Literal["task", "language"], names: list[str]) -> None:
    click.echo(f"\nbaselines: realised share of windows (of tokens) by {key}")
    rows = []
    for baseline in preview.baselines:
        plan = baseline.plan.stages.get("intermediate")
        cells = []
        for name in names:
            planned = [source for source in plan.sources.values() if getattr(source, key) == name] if plan else []
            windows, tokens = sum(s.share_windows for s in planned), sum(s.share_tokens for s in planned)
            cells.append(f"{windows:.3f} ({tokens:.3f})" if plan else "-")
        rows.append([baseline.kind, *cells])
    print_table(["baseline", *names], rows)


def _mixture(params: Params) -> str:
    if "shares" in params and "ratio" not in params:
        return " ".join(f"{name}={share:.2f}" for name, share in params["shares"].items())
    return f"ratio {params['ratio']:.3f}" if "ratio" in params else "-"
