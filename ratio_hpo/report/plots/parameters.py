"""Plots of parameters: importance, slices, parallel coordinates, shares of three sources, realised ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ratio_hpo.core.trial import State, TrialRecord
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
)  # fmt: skip
from ratio_hpo.report.plots.style import FAINT, GAIN, INK, colour_of, one_panel, panels

MAX_LINES = 150
"""Maximum number of lines of parallel coordinates: the trials with the highest last scores."""


def draw_importance(facts: Facts, figure: Any) -> Sequence[Any]:
    """Total effect of each parameter on last scores over the space, by the response model. With interactions the
    parts sum to more than 1. Lines are 80 % intervals.
    """
    assert facts.model_queries is not None
    importances = facts.model_queries.importance()
    axes = one_panel(figure, 6.0, 0.9 + 0.35 * len(importances))
    for row, entry in enumerate(importances):
        axes.plot([entry.low, entry.high], [row, row], color=GAIN, linewidth=1.6)
        [mark] = axes.plot([entry.part], [row], marker="o", color=GAIN, linestyle="none")
        facts.tip(mark, f"{entry.parameter}: {entry.part:.2f} (80 % interval: {entry.low:.2f} to {entry.high:.2f})")
    axes.set_yticks(range(len(importances)), [entry.parameter for entry in importances])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("part of the variance of last scores that remains with all other parameters fixed")
    return [axes]


def table_importance(facts: Facts) -> Table:
    assert facts.model_queries is not None
    rows = [[entry.parameter, entry.part, entry.low, entry.high] for entry in facts.model_queries.importance()]
    return Table(["parameter", "part", "80 % from", "to"], rows)


def _coordinates(facts: Facts) -> tuple[list[str], list[TrialRecord], np.ndarray]:
    """Return the coordinates of the unit point, the scored trials, and their points [trials, coordinates]."""
    space = facts.view.space
    names = list(space.coordinates())
    mixed = [r for r in facts.scored if r.params and (r.ratio is not None or "shares" in r.params or not r.is_baseline)]
    points = [(record, space.encode(record.params)) for record in mixed]
    complete = [(record, point) for record, point in points if all(name in point for name in names)]
    values = np.array([[point[name] for name in names] for _, point in complete]).reshape(len(complete), len(names))
    return names, [record for record, _ in complete], values


def draw_slices(facts: Facts, figure: Any) -> Sequence[Any]:
    """Last score of each trial by each coordinate of the space, coloured by ratio."""
    names, records, values = _coordinates(facts)
    all_axes = panels(figure, len(names))
    for axes, name, column in zip(all_axes, names, values.T, strict=True):
        mark_trials(facts, axes, records, column, list(map(last_score, records)), s=16, linewidths=0, alpha=0.85)
        axes.set_title(name)
        axes.set_xlim(-0.04, 1.04)
    figure.supxlabel("position in the parameter's range", fontsize=9)
    figure.supylabel(f"last mean {facts.measure}", fontsize=9)
    return all_axes


def table_slices(facts: Facts) -> Table:
    keys = list(dict.fromkeys(k for r in facts.scored for k in r.params if k not in ("shares", "no_intermediate")))
    rows = [
        [Trial(r.number), r.state.value, *(_cell(r.params.get(key)) for key in keys), last_score(r)]
        for r in facts.scored
    ]
    return Table(["trial", "state", *keys, f"last {facts.measure}"], rows)


def draw_parallel(facts: Facts, figure: Any) -> Sequence[Any]:
    """One line per trial: its position in the range of each coordinate, and its last score. Dotted lines are stopped
    trials.
    """
    from matplotlib.collections import LineCollection

    names, records, values = _coordinates(facts)
    scores = np.array(list(map(last_score, records)))
    best = np.argsort(-scores, kind="stable")[:MAX_LINES].tolist()
    spread = scores.max() - scores.min()
    positions = np.column_stack([values, (scores - scores.min()) / spread if spread else np.full(len(scores), 0.5)])
    axes = one_panel(figure, max(1.5 * positions.shape[1], 5.0), 3.4)
    for style, alpha, css_class in (("-", 0.8, ""), (":", 0.4, "stopped")):
        indices = [k for k in best if (records[k].state is State.PRUNED) == (css_class == "stopped")]
        lines = LineCollection(
            [list(enumerate(positions[k].tolist())) for k in indices],
            colors=[colour_of(records[k].ratio) for k in indices], linestyles=style, linewidths=1.1, alpha=alpha,
        )  # fmt: skip
        tips = [describe(facts, records[k], records[k].scored[-1]) for k in indices]
        facts.tip(axes.add_collection(lines), tips, css_class)
    axes.set_xlim(-0.1, positions.shape[1] - 0.9)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xticks(range(positions.shape[1]), [*names, f"last {facts.measure}"], rotation=20, ha="right")
    axes.set_ylabel("position in the range")
    return [axes]


def _three_source_trials(facts: Facts) -> list[tuple[TrialRecord, list[tuple[str, float]]]]:
    """Return trials with their shares if the first stage has three sources, the same in all trials; otherwise none."""
    trials = []
    for record in facts.scored:
        stage = next(iter(record.plan.stages.values()), None)
        shares = {k: s.share_windows for k, s in stage.sources.items()} if stage and len(record.plan.stages) > 1 else {}
        shares = shares or record.params.get("shares", {})
        if shares:
            trials.append((record, list(shares.items())))
    names = {tuple(name for name, _ in shares) for _, shares in trials}
    return trials if len(names) == 1 and len(next(iter(names))) == 3 else []


def draw_ternary(facts: Facts, figure: Any) -> Sequence[Any]:
    """Realised shares of the intermediate stage, coloured by last score."""
    axes, trials = one_panel(figure, 5.0, 4.4), _three_source_trials(facts)
    names = [name for name, _ in trials[0][1]]
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    for level in (0.25, 0.5, 0.75):
        for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            ends = level * corners[[a, a]] + (1 - level) * corners[[b, c]]
            axes.plot(ends[:, 0], ends[:, 1], color=FAINT, linewidth=0.6)
    axes.plot(*np.vstack([corners, corners[:1]]).T, color=INK, linewidth=0.9)
    points = np.array([[share for _, share in shares] for _, shares in trials]) @ corners
    records = [record for record, _ in trials]
    style = {"c": list(map(last_score, records)), "cmap": "viridis", "s": 46, "linewidths": 0.6}
    marks = mark_trials(facts, axes, records, points[:, 0], points[:, 1], edgecolors=INK, zorder=4, **style)
    for (x, y), name, shift in zip(corners, names, ((-6, -12), (6, -12), (0, 8)), strict=True):
        axes.annotate(name, (x, y), xytext=shift, textcoords="offset points", ha="center")
    axes.set_aspect("equal")
    axes.axis("off")
    figure.colorbar(marks, ax=axes, label=f"last mean {facts.measure}").outline.set_visible(False)
    return [axes]


def table_ternary(facts: Facts) -> Table:
    trials = _three_source_trials(facts)
    names = [name for name, _ in trials[0][1]]
    rows = [[Trial(r.number), *(share for _, share in shares), last_score(r)] for r, shares in trials]
    return Table(["trial", *names, f"last {facts.measure}"], rows)


def _realised(facts: Facts) -> list[TrialRecord]:
    return [r for r in facts.view.records if r.ratio is not None and r.plan.ratio_realised is not None]


def draw_realised(facts: Facts, figure: Any) -> Sequence[Any]:
    """Whole windows, token counts and caps change the requested ratio. The response model is fitted on realised
    shares.
    """
    axes, records = one_panel(figure, 4.4, 3.8), _realised(facts)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0)
    requested, realised = [record.ratio for record in records], [record.plan.ratio_realised for record in records]
    tips = [f"trial {r.number}: requested {r.ratio:.3f}, realised {r.plan.ratio_realised:.3f}" for r in records]
    mark_trials(facts, axes, records, requested, realised, tips, edgecolors=INK, linewidths=0.5, s=24, zorder=4)
    axes.set_xlabel("requested ratio")
    axes.set_ylabel("realised ratio")
    axes.set_aspect("equal")
    return [axes]


def table_realised(facts: Facts) -> Table:
    rows = []
    for record in _realised(facts):
        stage = next(iter(record.plan.stages.values()), None)
        tokens = None if stage is None else stage.ratio_realised_tokens
        capped = "" if stage is None else ", ".join(f"{k} at {at:,}" for k, at in stage.capped.items())
        rows.append([Trial(record.number), record.ratio, record.plan.ratio_realised, tokens, capped])
    return Table(["trial", "requested", "realised (windows)", "realised (tokens)", "capped"], rows)


def _cell(value: Any) -> str | float | int | None:
    return value if value is None or isinstance(value, str | float | int) else str(value)


def _no_point(facts: Facts) -> str | None:
    return nothing_scored(facts) or (None if _coordinates(facts)[1] else "no scored trial has a point in the space")


IMPORTANCE = Plot("importance", "Parameter importance", draw_importance, table_importance, no_answers)
SLICES = Plot("slices", "Scores by parameter", draw_slices, table_slices, _no_point)
PARALLEL = Plot("parallel", "Parallel coordinates", draw_parallel, table_slices, _no_point)
TERNARY = Plot(
    "ternary", "Three sources", draw_ternary, table_ternary,
    lambda facts: None if _three_source_trials(facts) else "the study does not mix three sources",
)  # fmt: skip
REALISED = Plot(
    "realised", "Requested and realised ratio", draw_realised, table_realised,
    lambda facts: None if _realised(facts) else "no trial has a realised ratio",
)  # fmt: skip
