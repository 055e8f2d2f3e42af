"""How the study went: learning curves, hypervolume over what was paid, when each trial ran, what was saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ratio_hpo.analysis.plots.base import Facts, Plot, Table, Trial, describe, nothing_scored
from ratio_hpo.analysis.plots.style import FAINT, GAIN, LOSS, UNKNOWN, colour_of, cost_axis
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.metrics.convergence import hypervolume

SHADES = {State.COMPLETE: GAIN, State.PRUNED: UNKNOWN, State.FAIL: LOSS, State.RUNNING: "#009e73"}


def draw_curves(facts: Facts, figure: Any) -> Sequence[Any]:
    stages = list(dict.fromkeys(point.stage for record in facts.scored for point in record.scored))
    figure.set_size_inches(max(4.2 * len(stages), 5.0), 3.6)
    each = list(figure.subplots(1, len(stages), sharey=True, squeeze=False).flat)
    for axes, stage in zip(each, stages, strict=True):
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
        cost_axis(axes, "windows", "seen in the stage")
    each[0].set_ylabel(f"mean {facts.measure}")
    return each


def table_curves(facts: Facts) -> Table:
    rows = [
        [
            Trial(record.number),
            record.state.value,
            record.ratio,
            point.stage,
            point.windows,
            point.cost,
            point.primary_score,
        ]
        for record in facts.drawn
        for point in record.scored
    ]
    return Table(["trial", "state", "ratio", "stage", "windows", f"cost ({facts.unit})", facts.measure], rows)


def _steps(facts: Facts) -> list[tuple[float, float, TrialRecord]]:
    """What was paid in all and the hypervolume after each evaluation that raised it, in the order of time."""
    every = [
        (point.time or 0.0, record.number, k) for record in facts.view.records for k, point in enumerate(record.curve)
    ]
    paid: dict[int, float] = {}
    known: list[tuple[float, float]] = []
    found: list[tuple[float, float, TrialRecord]] = []
    reached = 0.0
    for _, number, k in sorted(every):
        record = facts.view.records[number]
        point = record.curve[k]
        paid[number] = max(paid.get(number, 0.0), point.paid_cost)
        if point.has_primary_score and _joins(known, point):
            known.append((point.cost, point.primary_score))
            reached = hypervolume(known, facts.view.largest_cost)
            found.append((sum(paid.values()), reached, record))
    if found:
        found.append((sum(paid.values()), reached, found[-1][2]))
    return found


def _joins(known: Sequence[tuple[float, float]], point: Progress) -> bool:
    return not any(cost <= point.cost and score >= point.primary_score for cost, score in known)


def draw_hypervolume(facts: Facts, figure: Any) -> Sequence[Any]:
    figure.set_size_inches(7.0, 3.2)
    axes, steps = figure.add_subplot(), _steps(facts)
    paid, values = [step[0] for step in steps], [step[1] for step in steps]
    axes.step(paid, values, where="post", color=GAIN, linewidth=1.6)
    marks = axes.scatter(paid[:-1], values[:-1], c=[colour_of(step[2].ratio) for step in steps[:-1]], s=20, zorder=4)
    facts.tip(
        marks, [f"{value:.4f} after {cost:,.0f}: {describe(facts, record)}" for cost, value, record in steps[:-1]]
    )
    cost_axis(axes, facts.unit, "paid cost")
    axes.set_ylabel("hypervolume of the front")
    return [axes]


def table_hypervolume(facts: Facts) -> Table:
    rows = [[cost, value, Trial(record.number)] for cost, value, record in _steps(facts)]
    return Table([f"paid ({facts.unit})", "hypervolume", "raised by trial"], rows)


def _ran(facts: Facts) -> list[tuple[TrialRecord, float, float]]:
    """Trials with when they began and ended, in minutes since the first one did; gaps of rest are not shown."""
    begun = [record for record in facts.view.records if record.started is not None]
    first = min((record.started or 0.0 for record in begun), default=0.0)
    spans = []
    for record in begun:
        last = max([point.time or 0.0 for point in record.curve] + [record.ended or 0.0, record.started or 0.0])
        spans.append((record, ((record.started or 0.0) - first) / 60, (last - first) / 60))
    return spans


def _rows(spans: Sequence[tuple[TrialRecord, float, float]]) -> list[int]:
    """The row of each span: the first that is free when it begins."""
    free: list[float] = []
    rows = []
    for _, begin, end in spans:
        row = next((k for k, until in enumerate(free) if until <= begin + 1e-9), len(free))
        if row == len(free):
            free.append(end)
        free[row] = end
        rows.append(row)
    return rows


def draw_timeline(facts: Facts, figure: Any) -> Sequence[Any]:
    spans = _ran(facts)
    rows = _rows(spans)
    figure.set_size_inches(8.0, 1.1 + 0.22 * min(max(rows) + 1, 30))
    axes = figure.add_subplot()
    for (record, begin, end), row in zip(spans, rows, strict=True):
        shade = SHADES.get(record.state, FAINT)
        [bar] = axes.barh(
            [row], [max(end - begin, 1e-3)], left=[begin], height=0.8, color=shade, edgecolor="white", linewidth=0.4
        )
        facts.tip(bar, f"{describe(facts, record)}; {end - begin:.1f} min")
        if len(spans) <= 60:
            axes.text(
                begin + (end - begin) / 2,
                row,
                str(record.number),
                ha="center",
                va="center",
                fontsize=6,
                color="white",
                clip_on=True,
            )
    axes.set_yticks([])
    axes.set_xlabel("minutes since the first trial began")
    axes.set_ylabel("at once")
    axes.legend(
        handles=[_patch(SHADES[state], state.value) for state in SHADES if any(r.state is state for r, _, _ in spans)],
        loc="upper left", bbox_to_anchor=(1.0, 1.0),
    )  # fmt: skip
    return [axes]


def _patch(shade: str, name: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=shade, label=name)


def table_timeline(facts: Facts) -> Table:
    rows = [[Trial(r.number), r.state.value, begin, end, end - begin, r.worker or ""] for r, begin, end in _ran(facts)]
    return Table(["trial", "state", "from (min)", "to", "took", "worked on by"], rows)


def _savings(facts: Facts) -> list[tuple[str, float]]:
    """Every trial whole and from scratch; what stopping and reuse took off; what is left: paid."""
    begun = [record for record in facts.view.records if record.curve]
    whole = sum(record.plan.cost or record.curve[-1].cost for record in begun)
    attributed = sum(record.curve[-1].cost for record in begun)
    paid = sum(max(point.paid_cost for point in record.curve) for record in begun)
    return [
        ("every trial whole, from scratch", whole),
        ("saved by stopping", whole - attributed),
        ("saved by reuse of stages", attributed - paid),
        ("paid", paid),
    ]


def draw_savings(facts: Facts, figure: Any) -> Sequence[Any]:
    figure.set_size_inches(7.0, 2.0)
    axes, parts = figure.add_subplot(), _savings(facts)
    left = 0.0
    for (name, value), shade in zip([parts[3], parts[2], parts[1]], (GAIN, "#009e73", UNKNOWN), strict=True):
        [bar] = axes.barh([0], [value], left=[left], color=shade, height=0.5, label=f"{name}: {value:,.0f}")
        facts.tip(bar, f"{name}: {value:,.0f} {facts.unit}")
        left += value
    axes.set_yticks([])
    cost_axis(axes, facts.unit, "cost of all trials")
    figure.legend(loc="outside upper center", ncols=3)
    return [axes]


def table_savings(facts: Facts) -> Table:
    whole = _savings(facts)[0][1] or 1.0
    return Table(
        ["", f"cost ({facts.unit})", "part"], [[name, value, value / whole] for name, value in _savings(facts)]
    )


CURVES = Plot(
    name="curves",
    title="Learning curves",
    about="Mean validation score at each rung, by stage; stopped trials are faint and dotted, baselines thicker.",
    draw=draw_curves,
    table=table_curves,
    missing=nothing_scored,
)
HYPERVOLUME = Plot(
    name="hypervolume",
    title="What each trial added",
    about="The hypervolume of the front, as a part of what could be, over what had been paid by then, with the trials "
    "that raised it.",
    draw=draw_hypervolume,
    table=table_hypervolume,
    missing=nothing_scored,
)
TIMELINE = Plot(
    name="timeline",
    title="When trials ran",
    about="One bar a trial, in the first row that was free: rows are trials at once.",
    draw=draw_timeline,
    table=table_timeline,
    missing=lambda facts: None if _ran(facts) else "no trial has begun",
)
SAVINGS = Plot(
    name="savings",
    title="What was saved",
    about="Attributed cost counts a trial as if it were trained alone; paid cost is what was really trained, after "
    "stages were shared and trials stopped.",
    draw=draw_savings,
    table=table_savings,
    missing=nothing_scored,
)
