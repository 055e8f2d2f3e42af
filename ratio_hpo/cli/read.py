"""Commands that read: list, status, trial, best."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratio_hpo.cli.options import json_option, reading_options, reading_timeout, root_option, storage_option
from ratio_hpo.cli.printing import RECOMMENDED, marked, open_stored, open_view, print_json, print_table, waiting_for
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.show.formatting import count, number, say, settings

if TYPE_CHECKING:
    from ratio_hpo.study.view import StudyView
    from ratio_hpo.upkeep.usage import DiskUsage


@click.command(name="list")
@root_option
@storage_option
@reading_timeout
@json_option
def list_(root: Path, storage: str | None, as_json: bool) -> None:
    """All studies, in the order in which they were made.

    \b
    ratio-hpo list
    ratio-hpo list --storage postgresql://me@host/studies --json
    """
    from ratio_hpo.analysis.status import studies
    from ratio_hpo.study.admin import list_studies

    stored = open_stored(root, storage, only_read=True)
    with waiting_for(root, storage):
        content = studies(list_studies(stored))
    if as_json:
        print_json(content)
        return
    if not content["studies"]:
        say("no studies here yet; run `ratio-hpo search`, or name another folder with --root")
    rows = [
        [
            s["name"],
            s["experiment"],
            s["space"],
            ", ".join(f"{value} {key}" for key, value in s["counts"].items() if value) or "no trials yet",
            number(s["target"]),
            s["started"] or "-",
        ]
        for s in content["studies"]
    ]
    print_table(["study", "experiment", "space", "trials", "target", "started"], rows, right=["target"])


@click.command()
@reading_options
def status(study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """How a study stands: counts, target, the recommended trial, all trials.

    \b
    ratio-hpo status
    ratio-hpo status --study polyglot-world-default --json
    """
    from ratio_hpo.analysis.status import status as status_of
    from ratio_hpo.upkeep.usage import disk_usage

    view = open_view(root, storage, study)
    content, disk = status_of(view), disk_usage(view, RunFolder(root))
    if as_json:
        print_json({**content, "disk": asdict(disk)})
        return
    counts = ", ".join(f"{value} {key}" for key, value in content["counts"].items() if value)
    click.echo(f"{content['study']}: {counts or 'no trials yet'} (asked for {content['trials_asked']})")
    target = (
        f"target {content['measure']} {content['target']:.3f}"
        if content["target"]
        else "target not known until trial 0 is done"
    )
    click.echo(f"{target}; hypervolume {content['hypervolume']:.3f}")
    click.echo(
        f"paid: {content['paid_cost']:,.0f} {content['cost_unit']} trained{_seconds(content['paid_seconds'])}, "
        f"{content['scored_windows']:,.0f} windows scored{_seconds(content['scoring_seconds'])}"
    )
    if content["recommended"]:
        told = content["recommended"]
        as_of = f", as of {told['as_of']} ended trials" if told["stale"] else ""
        click.echo(f"recommended: trial {told['trial']}, expected {told['score']:.3f} ± {told['sd']:.3f}{as_of}")
    for line in content["leaks"]:
        click.echo(f"leak: {line}")
    if content["interrupted"]:
        click.echo(f"{content['interrupted']} interrupted trial(s) go on with the next search")
    if content["tracking_lags"]:
        click.echo(
            f"tracking lags on {content['tracking_lags']} trial(s); `ratio-hpo track {content['study']}` writes them"
        )
    if disk.stages or disk.weights:
        _print_disk(disk)
    click.echo()
    _print_trials(content["trials"])


@click.command()
@click.argument("number_", metavar="NUMBER", type=int)
@reading_options
def trial(number_: int, study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """One trial: parameters, mixture, curve, state, reason, traceback.

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
    """The recommended trial: the COMPLETE one that most is expected of.

    From 8 trials on that is by the response model, which has seen every score; the highest one seen stands beside it.

    \b
    ratio-hpo best
    ratio-hpo best --json | jq .params
    """
    from ratio_hpo.analysis.recipe import winner
    from ratio_hpo.analysis.recommend import recommend
    from ratio_hpo.analysis.status import details

    view = open_view(root, storage, study)
    found = recommend(view)
    content = details(winner(view) if found is None else found.record, view)
    if found is not None:
        expected = None if found.mean is None else {"score": found.mean, "sd": found.sd}
        kept = RunFolder(root).kept(view.name, found.weights)
        content |= {"why": found.why, "expected": expected, "best_seen": found.best_seen.number}
        content["weights"] = None if kept is None else str(kept)
    if as_json:
        print_json(content)
        return
    if found is not None:
        click.echo(f"recommended: {found.why}{_expected(found.mean, found.sd)}")
        click.echo(f"weights: {content['weights'] or f'not kept (keep: {view.about.keep})'}")
    _print_trial(view, content)


def _seconds(seconds: float) -> str:
    return f" in {seconds:,.0f} s" if seconds else ""


def _expected(mean: float | None, sd: float | None) -> str:
    return "" if mean is None or sd is None else f"; expected {mean:.3f} ± {sd:.3f}"


def _print_trial(view: StudyView, content: dict[str, Any]) -> None:
    click.echo(f"{view.name} trial {content['number']}: {content['state']} ({content['kind']})")
    if content["reason"]:
        click.echo(f"reason: {content['reason']}")
    if content["sibling_of"] is not None:
        click.echo(f"sibling of trial {content['sweep_of']}: the same mixture, for another number of steps")
    click.echo(
        f"ratio {number(content['ratio'])} (realised {number(content['ratio_realised'])}) {settings(content['params'])}"
    )
    _print_mixture(content["plan"])
    if content["curve"]:
        click.echo()
        languages = view.languages
        rows = [
            [
                p["stage"],
                count(p["windows"]),
                count(p["cost"]),
                count(p["paid"]),
                number(p["score"]),
            ]
            + [number(p["scores"].get(f"score/{language}")) for language in languages]
            for p in content["curve"]
        ]
        numeric = ["windows", "cost", "paid", "mean", *languages]
        print_table(["stage", *numeric], rows, right=numeric)
        _print_beside(content["curve"])
    if content["traceback"]:
        click.echo(f"\n{content['traceback']}")


def _print_beside(curve: list[dict[str, Any]]) -> None:
    """XTREME's mean over tasks, and what each head's training told last."""
    mean = curve[-1]["scores"].get("xtreme/mean")
    if mean is not None:
        click.echo(f"XTREME's mean over tasks (question answering by F1 and EM): {number(mean)}")
    told = {
        key: value
        for point in curve
        for key, value in point["measures"].items()
        if "/" in key and not key.startswith("system/")
    }
    if told:
        click.echo("last told in training: " + ", ".join(f"{key} {number(value)}" for key, value in told.items()))


def _print_disk(disk: DiskUsage) -> None:
    budget = f" of {disk.stages_budget / 1e9:,.0f} GB" if disk.stages_budget else ""
    click.echo(
        f"disk: {disk.stages / 1e6:,.0f} MB of stages{budget}, {disk.weights / 1e6:,.0f} MB more of kept weights "
        f"(keep: {disk.keep});"
    )
    click.echo("`ratio-hpo gc --dry-run` says what could go")


def _print_trials(trials: list[dict[str, Any]]) -> None:
    rows = [
        [
            marked(entry["number"], entry["recommended"]),
            "INTERRUPTED" if entry["interrupted"] else entry["state"],
            entry["kind"],
            number(entry["ratio"], 2),
            number(entry["score"]),
            count(entry["cost"]),
            "never" if entry["censored"] else count(entry["cost_to_target"]),
            settings(entry["params"]),
        ]
        for entry in trials
    ]
    numeric = ["trial", "ratio", "score", "cost", "to target"]
    columns = ["trial", "state", "kind", "ratio", "score", "cost", "to target", "settings"]
    print_table(columns, rows, right=numeric, fold=True)
    if any(entry["recommended"] for entry in trials):
        click.echo(RECOMMENDED)


def _print_mixture(plan: dict[str, Any]) -> None:
    middle = plan["stages"].get("intermediate")
    if not middle:
        return
    rows = [
        [
            source,
            number(got["requested"]),
            number(got["share_windows"]),
            number(got["share_tokens"]),
            count(got["windows"]),
            count(got["questions"]),
            number(got["epochs"], 2),
            count(got["capped"]),
        ]
        for source, got in middle["sources"].items()
    ]
    numeric = ["requested", "of windows", "of tokens", "windows", "questions", "epochs", "capped at"]
    print_table(["source", *numeric], rows, right=numeric)
