"""Plots of score by ratio: predicted and measured, for the mean and for each language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ratio_hpo.analysis.mixtures import baseline_of
from ratio_hpo.analysis.query_results import Band, RatioPrediction
from ratio_hpo.analysis.score_parts import name_of
from ratio_hpo.core.trial import NO_INTERMEDIATE, TrialRecord
from ratio_hpo.report.plots.base import (
    Facts,
    Plot,
    Table,
    Trial,
    describe,
    last_score,
    mark_trials,
    no_answers,
    nothing_scored,
    part_names,
)
from ratio_hpo.report.plots.style import FAINT, GAIN, INK, LOSS, one_panel, panels

CELLS = 10
"""Number of cells of the heat map, from ratio 0 to 1."""


def _ends(facts: Facts) -> list[TrialRecord]:
    """Return the completed trials with a ratio."""
    return [record for record in facts.ends if record.ratio is not None]


def _shades(records: Sequence[TrialRecord]) -> list[str]:
    """Return the colour of each trial: dark for baselines."""
    return [INK if record.is_baseline else FAINT for record in records]


def _draw_bands(axes: Any, ratios: Sequence[float], bands: Sequence[Band | RatioPrediction], linewidth: float) -> Any:
    """Draw predictions by ratio with their bands, and return the artist of the bands."""
    lows, highs = [band.low for band in bands], [band.high for band in bands]
    artist = axes.fill_between(ratios, lows, highs, color=GAIN, alpha=0.18, linewidth=0, label="80 % of runs")
    axes.plot(ratios, [band.mean for band in bands], color=GAIN, linewidth=linewidth, label="predicted")
    return artist


def draw_response(facts: Facts, figure: Any) -> Sequence[Any]:
    """Score that the response model predicts at each ratio, with the other settings of the recommended trial, and its
    80 % band for one more run. Dots are measured scores of trials, which may differ in other settings too.
    """
    axes = one_panel(figure, 7.0, 4.0)
    assert facts.model_queries is not None
    curve = facts.model_queries.curve()
    ratios = [point.ratio for point in curve]
    band = _draw_bands(axes, ratios, curve, 1.8)
    facts.tip(band, "80 % interval of the score of one more run")
    records = _ends(facts)
    mark_trials(
        facts, axes, records, [record.ratio for record in records], [last_score(record) for record in records],
        c=_shades(records), edgecolors=INK, linewidths=0.7, s=22, zorder=4, label="measured (dark: baselines)",
    )  # fmt: skip
    best = facts.model_queries.best()["mean"]
    axes.axvspan(best.low, best.high, color=FAINT, alpha=0.35, linewidth=0, label="best ratio, 80 % interval")
    axes.set_xlabel("ratio (share of non-reference windows)")
    axes.set_ylabel(f"final mean {facts.measure}")
    figure.legend(loc="outside upper center", ncols=4)  # inside the axes it hides the scores at high ratios
    return [axes]


def table_response(facts: Facts) -> Table:
    assert facts.model_queries is not None
    rows = [[p.ratio, p.mean, p.low, p.high] for p in facts.model_queries.curve()[::4]]
    return Table(["ratio", f"predicted {facts.measure}", "80 % from", "to"], rows)


def draw_languages(facts: Facts, figure: Any) -> Sequence[Any]:
    """Predicted and measured final score of each language by ratio. Dark dots are baselines."""
    all_axes = panels(figure, len(facts.parts))
    curve = facts.model_queries.curve() if facts.model_queries is not None else []
    modelled = set(facts.model_queries.names) if facts.model_queries is not None else set()
    records = _ends(facts)
    for axes, part in zip(all_axes, facts.parts, strict=True):
        name = name_of(part)
        if name in modelled:
            bands = [point.by_language[name] for point in curve]
            _draw_bands(axes, [point.ratio for point in curve], bands, 1.4)
        scores = {record.number: facts.score(record.scored[-1], part) for record in records}
        scored = [record for record in records if scores[record.number] is not None]
        values = [scores[record.number] for record in scored]
        tips = [f"{name} {scores[record.number]:.3f}, {describe(facts, record)}" for record in scored]
        style = {"c": _shades(scored), "edgecolors": INK, "linewidths": 0.5, "s": 12, "zorder": 4}
        mark_trials(facts, axes, scored, [record.ratio for record in scored], values, tips, **style)
        axes.set_title(name)
        axes.set_xlim(-0.03, 1.03)
    figure.supxlabel("ratio", fontsize=9)
    figure.supylabel(f"final {facts.measure}", fontsize=9)
    return all_axes


def table_languages(facts: Facts) -> Table:
    rows = [
        [Trial(record.number), facts.name(record), record.ratio, last_score(record)]
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
        scores = np.array([facts.score(record.scored[-1], part) for record in records], dtype=float)  # None: nan
        for cell in set(cells.tolist()):
            in_cell = scores[(cells == cell) & np.isfinite(scores)]
            values[row, cell] = in_cell.mean() if len(in_cell) else np.nan
    return values


def draw_heat(facts: Facts, figure: Any) -> Sequence[Any]:
    """Mean final score of the completed trials in each tenth of the ratio."""
    names = part_names(facts)
    axes = one_panel(figure, 7.0, 1.2 + 0.3 * len(names))
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
    for rival in facts.ends:
        is_simple = baseline_of(rival.kind, "reference_only") or baseline_of(rival.kind, NO_INTERMEDIATE)
        if rival.number == best.number or not is_simple:
            continue
        for part in facts.parts:
            ours, theirs = facts.score(best.scored[-1], part), facts.score(rival.scored[-1], part)
            if ours is not None and theirs is not None:
                gains.append((name_of(part), facts.name(rival), ours - theirs, None, None))
        if facts.parts != [("", "")]:
            gains.append(("mean", facts.name(rival), last_score(best) - last_score(rival), None, None))
    return gains


def draw_gains(facts: Facts, figure: Any) -> Sequence[Any]:
    """Gain of the finalist over the confirmed baselines, with 95 % intervals. Before a confirmation: gain of the
    recommended trial over the reference language only and no intermediate training, on validation, with one seed.
    """
    gains = _gains(facts)
    rivals = list(dict.fromkeys(rival for _, rival, *_ in gains))
    names = list(dict.fromkeys(name for name, *_ in gains))
    figure.set_size_inches(max(3.4 * len(rivals), 4.5), 1.1 + 0.26 * len(names))
    all_axes = list(figure.subplots(1, len(rivals), sharey=True, squeeze=False).flat)
    for axes, rival in zip(all_axes, rivals, strict=True):
        for name, against, mean, low, high in gains:
            if against != rival:
                continue
            row, colour, interval = names.index(name), GAIN if mean >= 0 else LOSS, ""
            if low is not None and high is not None:
                interval = f" [{low:+.3f}, {high:+.3f}]"
                axes.plot([low, high], [row, row], color=colour, linewidth=1.4)
            size = 7 if name == "mean" else 5
            [mark] = axes.plot([mean], [row], marker="o", color=colour, markersize=size, linestyle="none")
            facts.tip(mark, f"{name}: {mean:+.3f}{interval} against {rival}")
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_title(f"against {rival}")
        axes.set_xlabel(f"gain in {facts.measure}")
    all_axes[0].set_yticks(range(len(names)), names)
    all_axes[0].invert_yaxis()
    return all_axes


def table_gains(facts: Facts) -> Table:
    return Table(["", "against", f"gain in {facts.measure}", "95 % from", "to"], [list(row) for row in _gains(facts)])


def _no_gain(facts: Facts) -> str | None:
    return nothing_scored(facts) or (None if _gains(facts) else "there is no baseline to compare with")


RESPONSE = Plot("response", "Score by ratio", draw_response, table_response, no_answers)
LANGUAGES = Plot("languages", "Score by ratio, by language", draw_languages, table_languages, _no_ratio)
HEAT = Plot("heat", "Score by language and tenth of the ratio", draw_heat, table_heat, _no_ratio)
GAINS = Plot("gains", "Gain by language", draw_gains, table_gains, _no_gain)
