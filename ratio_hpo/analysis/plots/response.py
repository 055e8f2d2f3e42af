"""Score by ratio: what the response model expects, beside what was measured; over all languages and by each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ratio_hpo.analysis.names import baseline_of
from ratio_hpo.analysis.plots.base import (
    Facts,
    Plot,
    Table,
    Trial,
    describe,
    no_answers,
    nothing_scored,
    part_names,
)  # fmt: skip
from ratio_hpo.analysis.plots.style import FAINT, GAIN, INK, LOSS, panels
from ratio_hpo.analysis.score_parts import name_of
from ratio_hpo.core.trial import NO_INTERMEDIATE, TrialRecord

CELLS = 10
"""Of the heat map, from ratio 0 to 1."""


def _ends(facts: Facts) -> list[TrialRecord]:
    """Trials with a ratio that ran to their end."""
    return [record for record in facts.ends if record.ratio is not None]


def draw_response(facts: Facts, figure: Any) -> Sequence[Any]:
    figure.set_size_inches(7.0, 4.0)
    axes = figure.add_subplot()
    assert facts.answers is not None
    curve = facts.answers.curve()
    ratios = [point["ratio"] for point in curve]
    band = axes.fill_between(
        ratios, [p["low"] for p in curve], [p["high"] for p in curve], color=GAIN, alpha=0.18, linewidth=0,
        label="4 of 5 runs",
    )  # fmt: skip
    facts.tip(band, "four of five of what one more run would score there")
    axes.plot(ratios, [p["mean"] for p in curve], color=GAIN, linewidth=1.8, label="expected")
    records = _ends(facts)
    marks = axes.scatter(
        [record.ratio for record in records],
        [record.scored[-1].primary_score for record in records],
        c=[INK if record.is_baseline else FAINT for record in records],
        edgecolors=INK, linewidths=0.7, s=22, zorder=4, label="measured (dark: baselines)",
    )  # fmt: skip
    facts.tip(marks, [describe(facts, record, record.scored[-1]) for record in records])
    best = facts.answers.best()["mean"]
    axes.axvspan(best["low"], best["high"], color=FAINT, alpha=0.35, linewidth=0, label="best ratio, 4 of 5")
    axes.set_xlabel("ratio (share of non-English windows)")
    axes.set_ylabel(f"mean {facts.measure} at the end")
    figure.legend(loc="outside upper center", ncols=4)  # within, it hides what is measured at high ratios
    return [axes]


def table_response(facts: Facts) -> Table:
    assert facts.answers is not None
    rows = [[p["ratio"], p["mean"], p["low"], p["high"]] for p in facts.answers.curve()[::4]]
    return Table(["ratio", f"expected {facts.measure}", "4 of 5 from", "to"], rows)


def draw_languages(facts: Facts, figure: Any) -> Sequence[Any]:
    each = panels(figure, len(facts.parts))
    curve = facts.answers.curve() if facts.answers is not None else []
    known = set(facts.answers.names) if facts.answers is not None else set()
    records = _ends(facts)
    for axes, part in zip(each, facts.parts, strict=True):
        name = name_of(part)
        if name in known:
            told = [point["by_language"][name] for point in curve]
            ratios = [point["ratio"] for point in curve]
            axes.fill_between(
                ratios, [t["low"] for t in told], [t["high"] for t in told], color=GAIN, alpha=0.18, linewidth=0
            )
            axes.plot(ratios, [t["mean"] for t in told], color=GAIN, linewidth=1.4)
        pairs = [(record, facts.score(record.scored[-1], part)) for record in records]
        pairs = [(record, score) for record, score in pairs if score is not None]
        shades = [INK if record.is_baseline else FAINT for record, _ in pairs]
        places = [record.ratio for record, _ in pairs], [score for _, score in pairs]
        marks = axes.scatter(*places, c=shades, edgecolors=INK, linewidths=0.5, s=12, zorder=4)
        facts.tip(marks, [f"{name} {score:.3f}, {describe(facts, record)}" for record, score in pairs])
        axes.set_title(name)
        axes.set_xlim(-0.03, 1.03)
    figure.supxlabel("ratio", fontsize=9)
    figure.supylabel(f"{facts.measure} at the end", fontsize=9)
    return each


def table_languages(facts: Facts) -> Table:
    rows = [
        [Trial(record.number), facts.name(record), record.ratio, record.scored[-1].primary_score]
        + [facts.score(record.scored[-1], part) for part in facts.parts]
        for record in facts.ends
    ]
    return Table(["trial", "", "ratio", "mean", *part_names(facts)], rows)


def _cells(facts: Facts) -> np.ndarray:
    """Mean measured score of each part in each tenth of the ratio, less the part's mean over all; nan: none there."""
    values = np.full((len(facts.parts), CELLS), np.nan)
    records = _ends(facts)
    place = np.array([min(int((record.ratio or 0.0) * CELLS), CELLS - 1) for record in records])
    for row, part in enumerate(facts.parts):
        found = [facts.score(record.scored[-1], part) for record in records]
        scores = np.array([np.nan if value is None else value for value in found])
        for cell in set(place.tolist()):
            values[row, cell] = (
                np.nanmean(scores[place == cell]) if np.isfinite(scores[place == cell]).any() else np.nan
            )
    return values


def draw_heat(facts: Facts, figure: Any) -> Sequence[Any]:
    names = part_names(facts)
    figure.set_size_inches(7.0, 1.2 + 0.3 * len(names))
    axes = figure.add_subplot()
    values = _cells(facts)
    image = axes.pcolormesh(
        np.linspace(0, 1, CELLS + 1), np.arange(len(names) + 1), values, cmap="viridis", edgecolors="none"
    )
    facts.tip(image, f"mean {facts.measure} by language and tenth of the ratio; the table has the numbers")
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.set_xlabel("ratio")
    figure.colorbar(image, ax=axes, label=f"{facts.measure} at the end").outline.set_visible(False)
    if len(names) <= 20:
        for row, column in np.argwhere(np.isfinite(values)):
            axes.text(
                (column + 0.5) / CELLS, row + 0.5, f"{values[row, column]:.2f}", ha="center", va="center", fontsize=7,
                color="white", bbox={"boxstyle": "round,pad=0.15", "facecolor": INK, "linewidth": 0, "alpha": 0.55},
            )  # fmt: skip
    return [axes]


def table_heat(facts: Facts) -> Table:
    values = _cells(facts)
    rows = [
        [name, *(None if np.isnan(v) else float(v) for v in row)]
        for name, row in zip(part_names(facts), values, strict=True)
    ]
    return Table(["", *(f"{k / CELLS:.1f} to {(k + 1) / CELLS:.1f}" for k in range(CELLS))], rows)


def _no_ratio(facts: Facts) -> str | None:
    return None if _ends(facts) else "no trial with a ratio has ended yet"


def _gains(facts: Facts) -> list[tuple[str, str, float, float | None, float | None]]:
    """Language, against which baseline, gain, and its interval where it was confirmed."""
    found = []
    if facts.confirmed is not None and facts.confirmed["finalist"] is not None:
        rivals = {each["trial"]: each["label"] for each in facts.confirmed["against"]}
        for pair in facts.confirmed["pairs"]:
            if pair["first"] == facts.confirmed["finalist"] and pair["second"] in rivals:
                for name, one in {**pair["by_language"], "mean": pair}.items():
                    found.append((name, rivals[pair["second"]], one["mean"], one["low"], one["high"]))
        return found
    if facts.recommended is None:
        return []
    best = facts.recommended.record
    for rival in (
        r
        for r in facts.ends
        if r.is_baseline
        and r.number != best.number
        and (baseline_of(r.kind, "reference_only") or baseline_of(r.kind, NO_INTERMEDIATE))
    ):
        ours, theirs = best.scored[-1], rival.scored[-1]
        for part in facts.parts:
            a, b = facts.score(ours, part), facts.score(theirs, part)
            if a is not None and b is not None:
                found.append((name_of(part), facts.name(rival), a - b, None, None))
        if facts.parts != [("", "")]:
            found.append(("mean", facts.name(rival), ours.primary_score - theirs.primary_score, None, None))
    return found


def draw_gains(facts: Facts, figure: Any) -> Sequence[Any]:
    gains = _gains(facts)
    rivals = list(dict.fromkeys(rival for _, rival, *_ in gains))
    names = list(dict.fromkeys(name for name, *_ in gains))
    figure.set_size_inches(max(3.4 * len(rivals), 4.5), 1.1 + 0.26 * len(names))
    each = list(figure.subplots(1, len(rivals), sharey=True, squeeze=False).flat)
    for axes, rival in zip(each, rivals, strict=True):
        for name, against, mean, low, high in gains:
            if against != rival:
                continue
            row, shade = names.index(name), GAIN if mean >= 0 else LOSS
            interval = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
            if low is not None and high is not None:
                axes.plot([low, high], [row, row], color=shade, linewidth=1.4)
            [mark] = axes.plot(
                [mean], [row], marker="o", color=shade, markersize=5 if name != "mean" else 7, linestyle="none"
            )
            facts.tip(mark, f"{name}: {mean:+.3f}{interval} against {rival}")
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_title(f"against {rival}")
        axes.set_xlabel(f"gain in {facts.measure}")
    each[0].set_yticks(range(len(names)), names)
    each[0].invert_yaxis()
    return each


def table_gains(facts: Facts) -> Table:
    return Table(["", "against", f"gain in {facts.measure}", "95 % from", "to"], [list(row) for row in _gains(facts)])


RESPONSE = Plot(
    name="response",
    title="Score by ratio",
    about="What the response model expects of a run at each ratio, under the recommended trial's other settings, with "
    "the band that holds four of five runs. Dots are trials as measured, which may differ in other settings too.",
    draw=draw_response,
    table=table_response,
    missing=no_answers,
)
LANGUAGES = Plot(
    name="languages",
    title="Score by ratio, by language",
    about="The same for each language: dark dots are baselines.",
    draw=draw_languages,
    table=table_languages,
    missing=_no_ratio,
)
HEAT = Plot(
    name="heat",
    title="Language by ratio",
    about="Mean measured score at the end of the trials whose ratio lies in each tenth.",
    draw=draw_heat,
    table=table_heat,
    missing=_no_ratio,
)
GAINS = Plot(
    name="gains",
    title="Gain of each language",
    about="Of the finalist over the reference language alone and over no intermediate training: confirmed, with 95 % "
    "intervals, where that was done; else of the recommended trial on the validation split, one seed.",
    draw=draw_gains,
    table=table_gains,
    missing=lambda facts: nothing_scored(facts) or (None if _gains(facts) else "there is no baseline to compare with"),
)
