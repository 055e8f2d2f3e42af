"""Plots of score by ratio: predicted and measured, for the mean and for each language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ratio_hpo.analysis.mixtures import baseline_of
from ratio_hpo.analysis.score_parts import name_of
from ratio_hpo.core.trial import NO_INTERMEDIATE, TrialRecord
from ratio_hpo.report.plots.base import (
    Facts,
    Plot,
    Table,
    Trial,
    describe,
    no_answers,
    nothing_scored,
    part_names,
)  # fmt: skip
from ratio_hpo.report.plots.style import FAINT, GAIN, INK, LOSS, panels

CELLS = 10
"""Number of cells of the heat map, from ratio 0 to 1."""


def _ends(facts: Facts) -> list[TrialRecord]:
    """Return the completed trials with a ratio."""
    return [record for record in facts.ends if record.ratio is not None]


def draw_response(facts: Facts, figure: Any) -> Sequence[Any]:
    figure.set_size_inches(7.0, 4.0)
    axes = figure.add_subplot()
    assert facts.answers is not None
    curve = facts.answers.curve()
    ratios = [point["ratio"] for point in curve]
    band = axes.fill_between(
        ratios, [p["low"] for p in curve], [p["high"] for p in curve], color=GAIN, alpha=0.18, linewidth=0,
        label="80 % of runs",
    )  # fmt: skip
    facts.tip(band, "80 % interval of the score of one more run")
    axes.plot(ratios, [p["mean"] for p in curve], color=GAIN, linewidth=1.8, label="predicted")
    records = _ends(facts)
    marks = axes.scatter(
        [record.ratio for record in records],
        [record.scored[-1].primary_score for record in records],
        c=[INK if record.is_baseline else FAINT for record in records],
        edgecolors=INK, linewidths=0.7, s=22, zorder=4, label="measured (dark: baselines)",
    )  # fmt: skip
    facts.tip(marks, [describe(facts, record, record.scored[-1]) for record in records])
    best = facts.answers.best()["mean"]
    axes.axvspan(best["low"], best["high"], color=FAINT, alpha=0.35, linewidth=0, label="best ratio, 80 % interval")
    axes.set_xlabel("ratio (share of non-reference windows)")
    axes.set_ylabel(f"final mean {facts.measure}")
    figure.legend(loc="outside upper center", ncols=4)  # inside the axes it hides the scores at high ratios
    return [axes]


def table_response(facts: Facts) -> Table:
    assert facts.answers is not None
    rows = [[p["ratio"], p["mean"], p["low"], p["high"]] for p in facts.answers.curve()[::4]]
    return Table(["ratio", f"predicted {facts.measure}", "80 % from", "to"], rows)


def draw_languages(facts: Facts, figure: Any) -> Sequence[Any]:
    all_axes = panels(figure, len(facts.parts))
    curve = facts.answers.curve() if facts.answers is not None else []
    modelled = set(facts.answers.names) if facts.answers is not None else set()
    records = _ends(facts)
    for axes, part in zip(all_axes, facts.parts, strict=True):
        name = name_of(part)
        if name in modelled:
            predictions = [point["by_language"][name] for point in curve]
            ratios = [point["ratio"] for point in curve]
            axes.fill_between(
                ratios,
                [t["low"] for t in predictions],
                [t["high"] for t in predictions],
                color=GAIN,
                alpha=0.18,
                linewidth=0,
            )
            axes.plot(ratios, [t["mean"] for t in predictions], color=GAIN, linewidth=1.4)
        pairs = [(record, facts.score(record.scored[-1], part)) for record in records]
        pairs = [(record, score) for record, score in pairs if score is not None]
        shades = [INK if record.is_baseline else FAINT for record, _ in pairs]
        points = [record.ratio for record, _ in pairs], [score for _, score in pairs]
        marks = axes.scatter(*points, c=shades, edgecolors=INK, linewidths=0.5, s=12, zorder=4)
        facts.tip(marks, [f"{name} {score:.3f}, {describe(facts, record)}" for record, score in pairs])
        axes.set_title(name)
        axes.set_xlim(-0.03, 1.03)
    figure.supxlabel("ratio", fontsize=9)
    figure.supylabel(f"final {facts.measure}", fontsize=9)
    return all_axes


def table_languages(facts: Facts) -> Table:
    rows = [
        [Trial(record.number), facts.name(record), record.ratio, record.scored[-1].primary_score]
        + [facts.score(record.scored[-1], part) for part in facts.parts]
        for record in facts.ends
    ]
    return Table(["trial", "", "ratio", "mean", *part_names(facts)], rows)


def _cells(facts: Facts) -> np.ndarray:
    """Return the mean final score of each part in each tenth of the ratio; nan if no trial has such a ratio."""
    values = np.full((len(facts.parts), CELLS), np.nan)
    records = _ends(facts)
    cells = np.array([min(int((record.ratio or 0.0) * CELLS), CELLS - 1) for record in records])
    for row, part in enumerate(facts.parts):
        part_scores = [facts.score(record.scored[-1], part) for record in records]
        scores = np.array([np.nan if value is None else value for value in part_scores])
        for cell in set(cells.tolist()):
            values[row, cell] = (
                np.nanmean(scores[cells == cell]) if np.isfinite(scores[cells == cell]).any() else np.nan
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
    facts.tip(image, f"mean {facts.measure} by language and tenth of the ratio; see the table for the numbers")
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.set_xlabel("ratio")
    figure.colorbar(image, ax=axes, label=f"final {facts.measure}").outline.set_visible(False)
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
    return None if _ends(facts) else "no trial with a ratio is complete yet"


def _gains(facts: Facts) -> list[tuple[str, str, float, float | None, float | None]]:
    """Return language, baseline, gain, and the gain's 95 % interval if it is confirmed."""
    gains = []
    if facts.confirmed is not None and facts.confirmed.finalist is not None:
        rivals = {rival.trial: rival.label for rival in facts.confirmed.against}
        for pair in facts.confirmed.pairs:
            if pair.first == facts.confirmed.finalist and pair.second in rivals:
                gains += [
                    (name, rivals[pair.second], difference.mean, difference.low, difference.high)
                    for name, difference in {**pair.by_language, "mean": pair}.items()
                ]
        return gains
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
        best_point, rival_point = best.scored[-1], rival.scored[-1]
        for part in facts.parts:
            a, b = facts.score(best_point, part), facts.score(rival_point, part)
            if a is not None and b is not None:
                gains.append((name_of(part), facts.name(rival), a - b, None, None))
        if facts.parts != [("", "")]:
            gains.append(("mean", facts.name(rival), best_point.primary_score - rival_point.primary_score, None, None))
    return gains


def draw_gains(facts: Facts, figure: Any) -> Sequence[Any]:
    gains = _gains(facts)
    rivals = list(dict.fromkeys(rival for _, rival, *_ in gains))
    names = list(dict.fromkeys(name for name, *_ in gains))
    figure.set_size_inches(max(3.4 * len(rivals), 4.5), 1.1 + 0.26 * len(names))
    all_axes = list(figure.subplots(1, len(rivals), sharey=True, squeeze=False).flat)
    for axes, rival in zip(all_axes, rivals, strict=True):
        for name, against, mean, low, high in gains:
            if against != rival:
                continue
            row, colour = names.index(name), GAIN if mean >= 0 else LOSS
            interval = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
            if low is not None and high is not None:
                axes.plot([low, high], [row, row], color=colour, linewidth=1.4)
            [mark] = axes.plot(
                [mean], [row], marker="o", color=colour, markersize=5 if name != "mean" else 7, linestyle="none"
            )
            facts.tip(mark, f"{name}: {mean:+.3f}{interval} against {rival}")
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_title(f"against {rival}")
        axes.set_xlabel(f"gain in {facts.measure}")
    all_axes[0].set_yticks(range(len(names)), names)
    all_axes[0].invert_yaxis()
    return all_axes


def table_gains(facts: Facts) -> Table:
    return Table(["", "against", f"gain in {facts.measure}", "95 % from", "to"], [list(row) for row in _gains(facts)])


RESPONSE = Plot(
    name="response",
    title="Score by ratio",
    about="Score that the response model predicts at each ratio, with the other settings of the recommended trial, and "
    "its 80 % band for one more run. Dots are measured scores of trials, which may differ in other settings too.",
    draw=draw_response,
    table=table_response,
    missing=no_answers,
)
LANGUAGES = Plot(
    name="languages",
    title="Score by ratio, by language",
    about="Predicted and measured final score of each language by ratio. Dark dots are baselines.",
    draw=draw_languages,
    table=table_languages,
    missing=_no_ratio,
)
HEAT = Plot(
    name="heat",
    title="Score by language and tenth of the ratio",
    about="Mean final score of the completed trials in each tenth of the ratio.",
    draw=draw_heat,
    table=table_heat,
    missing=_no_ratio,
)
GAINS = Plot(
    name="gains",
    title="Gain by language",
    about="Gain of the finalist over the confirmed baselines, with 95 % intervals. Before a confirmation: gain of the "
    "recommended trial over the reference language only and no intermediate training, on validation, with one seed.",
    draw=draw_gains,
    table=table_gains,
    missing=lambda facts: nothing_scored(facts) or (None if _gains(facts) else "there is no baseline to compare with"),
)
