"""The anytime front: the points that no point of another curve beats in both cost and score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ratio_hpo.core.trial import State
from ratio_hpo.metrics.front import curve_points
from ratio_hpo.report.plots.base import Facts, Plot, Table, Trial, describe, nothing_scored
from ratio_hpo.report.plots.style import FAINT, INK, TARGET, colour_of, cost_axis, ratio_map


def draw(facts: Facts, figure: Any) -> Sequence[Any]:
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    figure.set_size_inches(8.0, 4.6)
    axes = figure.add_subplot()
    for stopped in (False, True):
        records = [record for record in facts.drawn if (record.state is State.PRUNED) == stopped]
        curves = [curve_points(record) for record in records]
        shades = [colour_of(record.ratio) for record in records]
        lines = LineCollection(curves, colors=shades, linestyles=":" if stopped else "-", linewidths=1.0, alpha=0.45)
        facts.tip(axes.add_collection(lines), [describe(facts, record) for record in records], _class(stopped))
        points = [(record, point) for record in records for point in record.scored]
        if points:
            marks = axes.scatter(
                [point.cost for _, point in points],
                [point.primary_score for _, point in points],
                c=[colour_of(record.ratio) for record, _ in points],
                s=9,
                alpha=0.6,
                linewidths=0,
            )
            facts.tip(marks, [describe(facts, record, point) for record, point in points], _class(stopped))
    axes.autoscale_view()
    members = facts.front
    costs, scores = ([getattr(m.progress, key) for m in members] for key in ("cost", "primary_score"))
    end = max(point.cost for record in facts.scored for point in record.scored)
    axes.step(
        [*costs, end], [*scores, scores[-1]], where="post", color=INK, linewidth=1.5, label="anytime front", zorder=4
    )
    shades = [colour_of(member.trial.ratio) for member in members]
    marks = axes.scatter(costs, scores, c=shades, edgecolors=INK, linewidths=1.0, s=48, zorder=5)
    facts.tip(marks, [describe(facts, m.trial, m.progress) + _front_probability(facts, m.key) for m in members])
    if facts.view.target is not None:
        text = f"target {facts.measure} {facts.view.target:.3f}"
        axes.axhline(facts.view.target, color=TARGET, linewidth=1, linestyle="--", label=text)
    _name_baselines(facts, axes)
    cost_axis(axes, facts.unit)
    axes.set_ylabel(f"mean {facts.measure}")
    axes.legend(loc="lower right")
    figure.colorbar(ScalarMappable(Normalize(0, 1), ratio_map()), ax=axes, pad=0.13, label="ratio").outline.set_visible(
        False
    )
    return [axes]


def table(facts: Facts) -> Table:
    predictions = {} if facts.advice is None else {member.key: member for member in facts.advice.front}
    rows = []
    for member in facts.front:
        prediction, progress = predictions.get(member.key), member.progress
        rows.append(
            [
                Trial(member.trial.number),
                facts.name(member.trial),
                member.trial.ratio,
                f"{progress.stage} {progress.windows:,}",
                progress.cost,
                progress.primary_score,
                None if prediction is None else prediction.mean,
                prediction.probability if prediction is not None else None if facts.advice is None else 0.0,
            ]
        )
    columns = [
        "trial",
        "",
        "ratio",
        "stopped at",
        f"cost ({facts.unit})",
        facts.measure,
        "predicted",
        "P(on the front)",
    ]
    return Table(columns, rows)


def _class(stopped: bool) -> str:
    return "stopped" if stopped else ""


def _front_probability(facts: Facts, key: str) -> str:
    prediction = None if facts.advice is None else next((m for m in facts.advice.front if m.key == key), None)
    return "" if prediction is None else f", on the front with probability {prediction.probability:.2f}"


def _name_baselines(facts: Facts, axes: Any) -> None:
    """Label the ends of the baselines' curves, with labels moved apart if they would overlap."""
    low, high = axes.get_ylim()
    step, last = (high - low) / 24, -math.inf
    for record in sorted((r for r in facts.drawn if r.is_baseline), key=lambda r: r.scored[-1].primary_score):
        end = record.scored[-1]
        height = max(end.primary_score, last + step)
        arrow = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.6}
        axes.annotate(
            facts.name(record), (end.cost, end.primary_score), xytext=(1.02, height),
            textcoords=axes.get_yaxis_transform(), fontsize=7, va="center", annotation_clip=False, arrowprops=arrow,
        )  # fmt: skip
        last = height


FRONT = Plot(
    name="front",
    title="Score by cost",
    about="Each curve is a trial, coloured by its ratio; dotted curves are stopped trials. The step line is the "
    "anytime front: the points that no point of another curve beats in both cost and score.",
    draw=draw,
    table=table,
    missing=nothing_scored,
)
