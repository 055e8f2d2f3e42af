"""The commands that read studies: `list`, `status`, `trial` and `best`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratio_hpo.cli.options import json_option, reading_options, reading_timeout, root_option, storage_option
from ratio_hpo.cli.printing import RECOMMENDED, marked, open_stored, open_view, print_json, print_table, waiting_for
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.report.formatting import count, counted, number, say, settings

if TYPE_CHECKING:
    from ratio_hpo.analysis.results import Evaluation, TrialDetails, TrialEntry
    from ratio_hpo.core.plans import StagePlan
    from ratio_hpo.study.snapshot import StudyView
    from ratio_hpo.upkeep.garbage import DiskUsage


@click.command(name="list")
@root_option
@storage_option
@reading_timeout
@json_option
def list_(root: Path, storage: str | None, as_json: bool) -> None:
    """List all studies in the order of their creation.

    \b
    ratio-hpo list
    ratio-hpo list --storage postgresql://me@host/studies --json
    """
    from ratio_hpo.analysis.results import StudyList
    from ratio_hpo.study.manage import list_studies

    stored = open_stored(root, storage, only_read=True)
    with waiting_for(root, storage):
        studies = tuple(list_studies(stored))
    if as_json:
        print_json(StudyList(studies=studies))
        return
    if not studies:
        say("no studies found; run `ratio-hpo search`, or name another folder with --root")
    rows = [
        [s.name, s.experiment, s.space, counted(s.counts) or "no trials yet", number(s.target), s.started or "-"]
        for s in studies
    ]
    print_table(["study", "experiment", "space", "trials", "target", "started"], rows, right=["target"])


@click.command()
@reading_options
def status(study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """Show the state of a study: counts, target, the recommended trial and all trials.

    \b
    ratio-hpo status
    ratio-hpo status --study polyglot-world-default --json
    """
    from ratio_hpo.upkeep.garbage import status_with_disk

    content = status_with_disk(open_view(root, storage, study), RunFolder(root))
    if as_json:
        print_json(content)
        return
    click.echo(f"{content.study}: {counted(content.counts) or 'no trials yet'} ({content.trials_asked} requested)")
    target = f"{content.measure} {content.target:.3f}" if content.target else "unknown until trial 0 is complete"
    click.echo(f"target {target}; hypervolume {content.hypervolume:.3f}")
    click.echo(
        f"paid: {content.paid_cost:,.0f} {content.cost_unit} trained{_seconds(content.paid_seconds)}, "
        f"{content.scored_windows:,.0f} windows scored{_seconds(content.scoring_seconds)}"
    )
    advice = content.recommended
    if advice is not None:
        as_of = f", as of {advice.as_of} ended trials" if advice.stale else ""
        click.echo(f"recommended: trial {advice.trial}, expected {advice.score:.3f} ± {advice.sd:.3f}{as_of}")
    for line in content.leaks:
        click.echo(f"leak: {line}")
    if content.interrupted:
        click.echo(f"{content.interrupted} interrupted trial(s) are resumed by the next search")
    if content.tracking_lags:
        click.echo(
            f"{content.tracking_lags} trial(s) are not tracked yet; `ratio-hpo track {content.study}` writes them"
        )
    if content.disk.stages or content.disk.weights:
        _print_disk(content.disk)
    click.echo()
    _print_trials(content.trials)


@click.command()
@click.argument("number_", metavar="NUMBER", type=int)
@reading_options
def trial(number_: int, study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """Show one trial: parameters, mixture, curve, state, reason and traceback.

    \b
    ratio-hpo trial 3
    """
    from ratio_hpo.analysis.status import details

    view = open_view(root, storage, study)
    content = details(view.trial(number_), view)
    print_json(content) if as_json else _print_trial(view, content)


@click.command()
@reading_options
def best(study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """Show the recommended trial: the completed trial with the highest predicted score, not the highest measured score.

    The response model predicts scores once 8 trials have ended; until then the trial with the highest score is shown.
    --json also holds the trial with the highest measured score.

    \b
    ratio-hpo best
    ratio-hpo best --json | jq .params
    """
    from ratio_hpo.analysis.status import best as best_of

    view = open_view(root, storage, study)
    content = best_of(view, RunFolder(root))
    if as_json:
        print_json(content)
        return
    expected = content.expected
    suffix = "" if expected is None else f"; expected {expected.score:.3f} ± {expected.sd:.3f}"
    click.echo(f"recommended: {content.why}{suffix}")
    click.echo(f"weights: {content.weights or f'not kept (keep: {view.about.keep})'}")
    _print_trial(view, content)


def _seconds(seconds: float) -> str:
    return f" in {seconds:,.0f} s" if seconds else ""


def _print_trial(view: StudyView, content: TrialDetails) -> None:
    click.echo(f"{view.name} trial {content.number}: {content.state} ({content.kind})")
    if content.reason:
        click.echo(f"reason: {content.reason}")
    if content.sweep_of is not None:
        click.echo(f"step sweep of trial {content.sweep_of}: the same mixture with another number of steps")
    click.echo(f"ratio {number(content.ratio)} (realised {number(content.ratio_realised)}) {settings(content.params)}")
    if "intermediate" in content.plan.stages:
        _print_mixture(content.plan.stages["intermediate"])
    if content.curve:
        click.echo()
        languages = view.languages
        rows = [
            [p.stage, count(p.windows), count(p.cost), count(p.paid), number(p.score)]
            + [number(p.scores.get(f"score/{language}")) for language in languages]
            for p in content.curve
        ]
        numeric = ["windows", "cost", "paid", "mean", *languages]
        print_table(["stage", *numeric], rows, right=numeric)
        _print_extra_scores(content.curve)
    if content.traceback:
        click.echo(f"\n{content.traceback}")


def _print_extra_scores(curve: Sequence[Evaluation]) -> None:
    """Print XTREME's mean over tasks, and the last training measures of each head."""
    mean = curve[-1].scores.get("xtreme/mean")
    if mean is not None:
        click.echo(f"XTREME's mean over tasks (question answering by F1 and EM): {number(mean)}")
    measures = {key: value for point in curve for key, value in point.measures.items()}
    by_head = [f"{k} {number(v)}" for k, v in measures.items() if "/" in k and not k.startswith("system/")]
    if by_head:
        click.echo(f"last training measures: {', '.join(by_head)}")


def _print_disk(disk: DiskUsage) -> None:
    budget = f" of {disk.stages_budget / 1e9:,.0f} GB" if disk.stages_budget else ""
    click.echo(
        f"disk: {disk.stages / 1e6:,.0f} MB of stages{budget}, {disk.weights / 1e6:,.0f} MB of kept weights "
        f"(keep: {disk.keep});"
    )
    click.echo("`ratio-hpo gc --dry-run` shows what can be deleted")


def _print_trials(trials: Sequence[TrialEntry]) -> None:
    rows = [
        [
            marked(entry.number, entry.recommended),
            "INTERRUPTED" if entry.interrupted else entry.state,
            entry.kind,
            number(entry.ratio, 2),
            number(entry.score),
            count(entry.cost),
            "never" if entry.censored else count(entry.cost_to_target),
            settings(entry.params),
        ]
        for entry in trials
    ]
    columns = ["trial", "state", "kind", "ratio", "score", "cost", "to target", "settings"]
    print_table(columns, rows, right=["trial", "ratio", "score", "cost", "to target"], fold=True)
    if any(entry.recommended for entry in trials):
        click.echo(RECOMMENDED)


def _print_mixture(stage: StagePlan) -> None:
    rows = [
        [
            source,
            number(plan.requested),
            number(plan.share_windows),
            number(plan.share_tokens),
            count(plan.windows),
            count(plan.questions),
            number(plan.epochs, 2),
            count(plan.capped),
        ]
        for source, plan in stage.sources.items()
    ]
    numeric = ["requested", "of windows", "of tokens", "windows", "questions", "epochs", "capped at"]
    print_table(["source", *numeric], rows, right=numeric)
