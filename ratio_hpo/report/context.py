"""Texts and small tables of the report: the answer, key numbers, data, and the commands that reproduce the study."""

from __future__ import annotations

import shlex

from ratio_hpo.analysis.status import status
from ratio_hpo.core.errors import printable
from ratio_hpo.core.urls import without_password
from ratio_hpo.report.formatting import counted
from ratio_hpo.report.plots.base import Facts, last_score


def answer_of(facts: Facts) -> dict[str, str]:
    """Return the answer and a note: the confirmed result, or the recommended trial, marked as unconfirmed."""
    view = facts.view
    if facts.confirmed is not None:
        confirmed = facts.confirmed
        tested = confirmed.split == "test"
        reading = f"reading {len(confirmed.readings)} of test" if tested else "no test questions were scored"
        note = f"Confirmed with {len(confirmed.seeds)} fresh seeds; {reading}."
        return {"sentence": confirmed.sentence, "note": note}
    recommended = facts.recommended
    if recommended is None:
        failed = [record for record in view.records if record.is_failure]
        why = f" {len(failed)} trial(s) failed; the first error: {printable(failed[0].reason or '')}" if failed else ""
        return {"sentence": f"No trial is complete yet, so there is no answer.{why}", "note": ""}
    name = facts.name(recommended.record)
    measured = f"{facts.measure} {last_score(recommended.record):.3f} on validation"
    expected = "" if recommended.mean is None else f", predicted {recommended.mean:.3f} ± {recommended.sd:.3f}"
    return {
        "sentence": f"Recommended: {name}, {measured}{expected}. {recommended.why.capitalize()}.",
        "note": f"Not confirmed: one training seed. Run: ratio-hpo confirm {view.name}",
    }


def numbers_of(facts: Facts) -> list[tuple[str, str]]:
    """Return the key numbers of the study."""
    content = status(facts.view)
    target = "unknown until trial 0 is complete" if content.target is None else f"{content.target:.3f}"
    rows = [
        ("trials", counted(content.counts) or "none yet"),
        (f"target {facts.measure}", target),
        ("hypervolume of the front", f"{content.hypervolume:.3f}"),
        ("trained", f"{content.paid_cost:,.0f} {facts.unit}, {content.paid_seconds:,.0f} s"),
        ("scored", f"{content.scored_windows:,.0f} windows, {content.scoring_seconds:,.0f} s"),
    ]
    queries = facts.model_queries
    if queries is not None:
        best, limit, speed = queries.best()["mean"], queries.stops_helping(), queries.speed()
        rows.append(("best ratio", f"{best.ratio:.2f} (80 % interval: {best.low:.2f} to {best.high:.2f})"))
        rows.append(("a higher ratio stops helping", "at no ratio" if limit is None else f"from ratio {limit:.2f}"))
        if speed is not None:
            times = f"{speed.times:.1f} times (80 % interval: {speed.low:.1f} to {speed.high:.1f})"
            rows.append((f"less training to reach the reference-only score, at ratio {speed.ratio:.2f}", times))
    return rows


def about_rows(facts: Facts) -> list[tuple[str, str]]:
    """Return the setup of the study: base, data, splits, versions, seed."""
    view, about = facts.view, facts.view.about
    settings = next((record.settings for record in reversed(view.records) if record.settings), {})
    rows = [
        ("experiment", about.experiment),
        ("space", about.space),
        ("base", about.base or f"custom objective {about.objective}"),
        ("targets", ", ".join(f"{name} (weight {weight:g})" for name, weight in about.targets.items()) or "one"),
        ("languages", ", ".join(view.languages)),
        ("seed", str(view.identity.get("seed", "-"))),
        ("sampler, pruner", f"{settings.get('sampler', '-')}, {settings.get('pruner', '-')}"),
        ("workers", f"{settings.get('workers', '-')} on {settings.get('backend', '-')}"),
        ("commit", str(settings.get("git_commit") or "-")),
        ("versions", ", ".join(f"{name} {value}" for name, value in dict(settings.get("versions", {})).items())),
        ("splits", str(view.identity.get("splits", "-"))),
    ]
    rows += [(f"data {name}", str(value)) for name, value in dict(view.identity.get("data", {})).items()]
    return [(key, printable(value)) for key, value in rows]


def leaks_of(facts: Facts) -> list[str]:
    """Return the notes on data leaks, and on records that were repaired or dropped."""
    return [printable(line) for line in (*facts.view.about.leaks, *facts.view.about.problems)]


def reproduce_of(facts: Facts) -> list[str]:
    """Return the commands that reproduce the study."""
    about = facts.view.about
    if about.in_process:
        return ["# created from Python: run the script that created it"]
    source = about.command
    arguments = ["ratio-hpo", "search", "--study", facts.view.name, "--trials", str(about.trials)]
    if source.experiment is not None:
        arguments += ["--experiment", source.experiment]
    for key, value, _ in source.settings:
        if key != "trials":
            arguments += ["-S", f"{key}={value}"]
    if about.base is not None and source.data_dir != "data":
        arguments += ["--data-dir", source.data_dir]
    commands = [shlex.join(arguments)]
    if facts.confirmed is not None:
        finalists = sum(entrant.kind in ("sampled", "enqueued") for entrant in facts.confirmed.entrants)
        seeds = len(facts.confirmed.seeds)
        commands.append(f"ratio-hpo confirm {facts.view.name} --top {finalists} --seeds {seeds}")
    return [without_password(command) for command in commands]
