"""Plots of the progress of a study: learning curves, hypervolume over paid cost, timeline, savings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.metrics.convergence import hypervolume
from ratio_hpo.report.plots.base import Facts, Plot, Table, Trial, describe, mark_trials, nothing_scored
from ratio_hpo.report.plots.style import FAINT, GAIN, LOSS, UNKNOWN, colour_of, cost_axis, one_panel

SHADES = {State.COMPLETE: GAIN, State.PRUNED: UNKNOWN, State.FAIL: LOSS, State.RUNNING: "#009e73"}


def draw_curves(facts: Facts, figure: Any) -> Sequence[Any]:
    """Mean validation score at each rung, by stage. Stopped trials are faint and dotted, baselines are thicker."""
    stages = list(dict.fromkeys(point.stage for record in facts.scored for point in record.scored))
    figure.set_size_inches(max(4.2 * len(stages), 5.0), 3.6)
    all_axes = list(figure.subplots(1, len(stages), sharey=True, squeeze=False).flat)
    for axes, stage in zip(all_axes, stages, strict=True):
        for record in facts.drawn:
            points = [point for point in record.scored if point.stage == stage]
            if points:
                stopped = record.state is State.PRUNED
                [line] = axes.plot(
                    [point.windows for point in points], [point.primary_score for point in points],
                    color=colour_of(record.ratio), linestyle=":" if stopped else "-", marker="o", markersize=2.5,
                    linewidth=2.0 if record.is_baseline else 1.0, alpha=0.3 if stopped else 0.8,
                )  # fmt: skip
                facts.tip(line, describe(facts, record, points[-1]), "stopped" if stopped else "")
        axes.set_title(f"{stage} stage")
        cost_axis(axes, "windows", "consumed in the stage")
    all_axes[0].set_ylabel(f"mean {facts.measure}")
    return all_axes


def table_curves(facts: Facts) -> Table:
    rows = [
        [Trial(r.number), r.state.value, r.ratio, point.stage, point.windows, point.cost, point.primary_score]
        for r in facts.drawn
        for point in r.scored
    ]
    return Table(["trial", "state", "ratio", "stage", "windows", f"cost ({facts.unit})", facts.measure], rows)


def _steps(facts: Facts) -> list[tuple[float, float, TrialRecord]]:
    """Return paid cost, hypervolume and trial at each evaluation that raised the hypervolume, in order of time."""
    records = facts.view.records
    evaluations = [(point.time or 0.0, r.number, k) for r in records for k, point in enumerate(r.curve)]
    paid: dict[int, float] = {}
    front_points: list[tuple[float, float]] = []
    steps: list[tuple[float, float, TrialRecord]] = []
    volume = 0.0
    for _, number, k in sorted(evaluations):
        record, point = records[number], records[number].curve[k]
        paid[number] = max(paid.get(number, 0.0), point.paid_cost)
        if point.has_primary_score and _joins(front_points, point):
            front_points.append((point.cost, point.primary_score))
            volume = hypervolume(front_points, facts.view.largest_cost)
            steps.append((sum(paid.values()), volume, record))
    if steps:
        steps.append((sum(paid.values()), volume, steps[-1][2]))
    return steps


def _joins(front_points: Sequence[tuple[float, float]], point: Progress) -> bool:
    return not any(cost <= point.cost and score >= point.primary_score for cost, score in front_points)


def draw_hypervolume(facts: Facts, figure: Any) -> Sequence[Any]:
    """Hypervolume of the front, as a fraction of its maximum, over the paid cost of the study. Marks are the trials
    that raised it.
    """
    axes, steps = one_panel(figure, 7.0, 3.2), _steps(facts)
    paid, values, records = zip(*steps, strict=True)
    axes.step(paid, values, where="post", color=GAIN, linewidth=1.6)
    tips = [f"{value:.4f} after {cost:,.0f}: {describe(facts, record)}" for cost, value, record in steps[:-1]]
    mark_trials(facts, axes, records[:-1], paid[:-1], values[:-1], tips, s=20, zorder=4)
    cost_axis(axes, facts.unit, "paid cost")
    axes.set_ylabel("hypervolume of the front")
    return [axes]


def table_hypervolume(facts: Facts) -> Table:
    rows = [[cost, value, Trial(record.number)] for cost, value, record in _steps(facts)]
    return Table([f"paid ({facts.unit})", "hypervolume", "raised by trial"], rows)


def _ran(facts: Facts) -> list[tuple[TrialRecord, float, float]]:
    """Return the started trials with their start and end, in minutes since the first start; pauses are included."""
    started = [(record, record.started) for record in facts.view.records if record.started is not None]
    first = min((start for _, start in started), default=0.0)
    spans = []
    for record, start in started:
        last = max(start, record.ended or 0.0, *(point.time or 0.0 for point in record.curve))
        spans.append((record, (start - first) / 60, (last - first) / 60))
    return spans


def _rows(spans: Sequence[tuple[TrialRecord, float, float]]) -> list[int]:
    """Return the row of each span: the first row that is free at its start."""
    free: list[float] = []
    rows = []
    for _, start, end in spans:
        row = next((k for k, until in enumerate(free) if until <= start + 1e-9), len(free))
        free[row : row + 1] = [end]
        rows.append(row)
    return rows


def draw_timeline(facts: Facts, figure: Any) -> Sequence[Any]:
    """One bar per trial, in the first free row: the number of rows is the largest number of concurrent trials."""
    from matplotlib.patches import Patch

    spans = _ran(facts)
    rows = _rows(spans)
    axes = one_panel(figure, 8.0, 1.1 + 0.22 * min(max(rows) + 1, 30))
    for (record, start, end), row in zip(spans, rows, strict=True):
        colour = SHADES.get(record.state, FAINT)
        [bar] = axes.barh(
            [row], [max(end - start, 1e-3)], left=[start], height=0.8, color=colour, edgecolor="white", linewidth=0.4
        )
        facts.tip(bar, f"{describe(facts, record)}; {end - start:.1f} min")
        if len(spans) <= 60:
            style = {"ha": "center", "va": "center", "fontsize": 6, "color": "white", "clip_on": True}
            axes.text(start + (end - start) / 2, row, str(record.number), **style)
    axes.set_yticks([])
    axes.set_xlabel("minutes since the first trial started")
    axes.set_ylabel("concurrent trials")
    states = {record.state for record, _, _ in spans}
    patches = [Patch(color=shade, label=state.value) for state, shade in SHADES.items() if state in states]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return [axes]


def table_timeline(facts: Facts) -> Table:
    rows = [[Trial(r.number), r.state.value, start, end, end - start, r.worker or ""] for r, start, end in _ran(facts)]
    return Table(["trial", "state", "start (min)", "end", "duration", "worker"], rows)


def _savings(facts: Facts) -> list[tuple[str, float]]:
    """Return the cost of complete trials without reuse, the savings by stopping and by reuse, and the paid cost."""
    started = [record for record in facts.view.records if record.curve]
    complete = sum(record.plan.cost or record.curve[-1].cost for record in started)
    attributed = sum(record.curve[-1].cost for record in started)
    paid = sum(max(point.paid_cost for point in record.curve) for record in started)
    return [
        ("all trials complete, without reuse", complete),
        ("saved by stopping", complete - attributed),
        ("saved by reusing stages", attributed - paid),
        ("paid", paid),
    ]


def draw_savings(facts: Facts, figure: Any) -> Sequence[Any]:
    """Cost of all trials if each were trained completely and without reuse, divided into paid cost and the savings by
    reusing stages and by stopping trials.
    """
    axes, left = one_panel(figure, 7.0, 2.0), 0.0
    for (name, value), shade in zip(_savings(facts)[:0:-1], (GAIN, "#009e73", UNKNOWN), strict=True):
        [bar] = axes.barh([0], [value], left=[left], color=shade, height=0.5, label=f"{name}: {value:,.0f}")
        facts.tip(bar, f"{name}: {value:,.0f} {facts.unit}")
        left += value
    axes.set_yticks([])
    cost_axis(axes, facts.unit, "cost of all trials")
    figure.legend(loc="outside upper center", ncols=3)
    return [axes]


def table_savings(facts: Facts) -> Table:
    parts = _savings(facts)
    total = parts[0][1] or 1.0
    return Table(["", f"cost ({facts.unit})", "part"], [[name, value, value / total] for name, value in parts])


CURVES = Plot("curves", "Learning curves", draw_curves, table_curves, nothing_scored)
HYPERVOLUME = Plot("hypervolume", "Hypervolume", draw_hypervolume, table_hypervolume, nothing_scored)
TIMELINE = Plot(
    "timeline", "Timeline", draw_timeline, table_timeline, lambda facts: None if _ran(facts) else "no trial has started"
)
SAVINGS = Plot("savings", "Savings", draw_savings, table_savings, nothing_scored)
