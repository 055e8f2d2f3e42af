"""What the report says in words and small tables: the answer, the numbers, the data, how to do it again."""

from __future__ import annotations

import shlex
from typing import Any

from ratio_hpo.analysis.plots.base import Facts
from ratio_hpo.analysis.status import status
from ratio_hpo.core.errors import printable
from ratio_hpo.core.urls import without_password


def answer_of(facts: Facts) -> dict[str, str]:
    """The answer first: what was confirmed, or what is recommended and that it was not confirmed."""
    view = facts.view
    if facts.confirmed is not None:
        split, seeds = facts.confirmed["split"], len(facts.confirmed["seeds"])
        read = f"reading {len(facts.confirmed['readings'])} of test" if split == "test" else "no questions were kept"
        note = f"Confirmed with {seeds} fresh seeds; {read}."
        return {"sentence": facts.confirmed["sentence"], "note": note}
    found = facts.recommended
    if found is None:
        failed = [record for record in view.records if record.is_failure]
        why = f" {len(failed)} trial(s) failed; the first says: {printable(failed[0].reason or '')}" if failed else ""
        return {"sentence": f"No trial has run to its end yet, so there is no answer.{why}", "note": ""}
    measured = f"{facts.measure} {found.record.scored[-1].primary_score:.3f} on validation"
    expected = "" if found.mean is None else f", expected {found.mean:.3f} ± {found.sd:.3f}"
    return {
        "sentence": f"Recommended: {facts.name(found.record)}, {measured}{expected}. {found.why.capitalize()}.",
        "note": f"Not confirmed: one training seed. Run: ratio-hpo confirm {view.name}",
    }


def numbers_of(facts: Facts) -> list[tuple[str, str]]:
    """What the study came to, in a few numbers."""
    content, unit = status(facts.view), facts.unit
    counts = ", ".join(f"{count} {state}" for state, count in content["counts"].items() if count)
    rows = [
        ("trials", counts or "none yet"),
        (
            f"target {facts.measure}",
            "not known until trial 0 is done" if content["target"] is None else f"{content['target']:.3f}",
        ),
        ("hypervolume of the front", f"{content['hypervolume']:.3f}"),
        ("trained", f"{content['paid_cost']:,.0f} {unit}, {content['paid_seconds']:,.0f} s"),
        ("scored", f"{content['scored_windows']:,.0f} windows, {content['scoring_seconds']:,.0f} s"),
    ]
    answers = facts.answers
    if answers is not None:
        best, helps, speed = answers.best()["mean"], answers.stops_helping(), answers.speed()
        rows.append(("best ratio", f"{best['ratio']:.2f} (4 of 5: {best['low']:.2f} to {best['high']:.2f})"))
        rows.append(("more stops helping", "nowhere" if helps is None else f"from a ratio of {helps:.2f} on"))
        if speed is not None:
            times = f"{speed['times']:.1f} times (4 of 5: {speed['low']:.1f} to {speed['high']:.1f})"
            rows.append((f"less training to the reference's score, at ratio {speed['ratio']:.2f}", times))
    return rows


def about_rows(facts: Facts) -> list[tuple[str, str]]:
    """On what: base, data, splits, versions, seeds."""
    view, settings = facts.view, {}
    for record in view.records:
        settings = dict(record.settings) or settings
    rows = [
        ("experiment", view.about.experiment),
        ("space", view.about.space),
        ("base", view.about.base or f"an objective of one's own, {view.about.objective}"),
        ("targets", ", ".join(f"{name} (weight {weight:g})" for name, weight in view.about.targets.items()) or "one"),
        ("languages", ", ".join(view.languages)),
        ("seed", str(view.identity.get("seed", "-"))),
        ("sampler, pruner", f"{settings.get('sampler', '-')}, {settings.get('pruner', '-')}"),
        ("workers", f"{settings.get('workers', '-')} on {settings.get('backend', '-')}"),
        ("commit", str(settings.get("git_commit") or "-")),
        ("versions", ", ".join(f"{name} {found}" for name, found in dict(settings.get("versions", {})).items())),
        ("splits", str(view.identity.get("splits", "-"))),
    ]
    rows += [(f"data {name}", str(found)) for name, found in dict(view.identity.get("data", {})).items()]
    return [(key, printable(value)) for key, value in rows]


def leaks_of(facts: Facts) -> list[str]:
    """What training and evaluation share, and records that were mended or dropped."""
    return [printable(line) for line in (*facts.view.about.leaks, *facts.view.about.problems)]


def reproduce_of(facts: Facts) -> list[str]:
    """The commands that make the study again."""
    about = facts.view.about
    if about.in_process:
        return ["# made from Python: run the script that made it"]
    made = about.command
    words: list[Any] = ["ratio-hpo", "search", "--study", facts.view.name, "--trials", about.trials]
    if made.experiment is not None:
        words += ["--experiment", made.experiment]
    for key, value, _ in made.settings:
        if key != "trials":
            words += ["-S", f"{key}={value}"]
    if about.base is not None and made.data_dir != "data":
        words += ["--data-dir", made.data_dir]
    commands = [shlex.join(str(word) for word in words)]
    if facts.confirmed is not None:
        finalists = sum(e["kind"] in ("sampled", "enqueued") for e in facts.confirmed["entrants"])
        seeds = len(facts.confirmed["seeds"])
        commands.append(f"ratio-hpo confirm {facts.view.name} --top {finalists} --seeds {seeds}")
    return [without_password(command) for command in commands]
