"""The anytime front: the points that no point of another curve beats in both cost and score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ratio_hpo.core.trial import State
from ratio_hpo.metrics.front import curve_points
from ratio_hpo.report.plots.base import Facts, Plot, Table, Trial, describe, last_score, mark_trials, nothing_scored
from ratio_hpo.report.plots.style import FAINT, INK, TARGET, colour_of, cost_axis, one_panel, ratio_map


def draw_front(facts: Facts, figure: Any) -> Sequence[Any]:
    """Each curve is a trial, coloured by its ratio; dotted curves are stopped trials. The step line is the anytime
    front: the points that no point of another curve beats in both cost and score.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    axes = one_panel(figure, 8.0, 4.6)
    for style, css_class in (("-", ""), (":", "stopped")):
        records = [record for record in facts.drawn if (record.state is State.PRUNED) == (css_class == "stopped")]
        shades = [colour_of(record.ratio) for record in records]
        lines = LineCollection(
            [curve_points(record) for record in records], colors=shades, linestyles=style, linewidths=1.0, alpha=0.45
        )
        facts.tip(axes.add_collection(lines), [describe(facts, record) for record in records], css_class)
        points = [(record, point) for record in records for point in record.scored]
        if points:
            marks = axes.scatter(
                [point.cost for _, point in points], [point.primary_score for _, point in points],
                c=[colour_of(record.ratio) for record, _ in points], s=9, alpha=0.6, linewidths=0,
            )  # fmt: skip
            facts.tip(marks, [describe(facts, record, point) for record, point in points], css_class)
    axes.autoscale_view()
    costs, scores = zip(*((member.progress.cost, member.progress.primary_score) for member in facts.front), strict=True)
    end = max(point.cost for record in facts.scored for point in record.scored)
    axes.step(
        [*costs, end], [*scores, scores[-1]], where="post", color=INK, linewidth=1.5, label="anytime front", zorder=4
    )
    predictions = {} if facts.advice is None else {member.key: member.probability for member in facts.advice.front}
    tips = []
    for member in facts.front:
        probability = predictions.get(member.key)
        suffix = "" if probability is None else f", on the front with probability {probability:.2f}"
        tips.append(describe(facts, member.trial, member.progress) + suffix)
    trials = [member.trial for member in facts.front]
    mark_trials(facts, axes, trials, costs, scores, tips, edgecolors=INK, linewidths=1.0, s=48, zorder=5)
    if facts.view.target is not None:
        text = f"target {facts.measure} {facts.view.target:.3f}"
        axes.axhline(facts.view.target, color=TARGET, linewidth=1, linestyle="--", label=text)
    _name_baselines(facts, axes)
    cost_axis(axes, facts.unit)
    axes.set_ylabel(f"mean {facts.measure}")
    axes.legend(loc="lower right")
    colour_bar = figure.colorbar(ScalarMappable(Normalize(0, 1), ratio_map()), ax=axes, pad=0.13, label="ratio")
    colour_bar.outline.set_visible(False)
    return [axes]


def table_front(facts: Facts) -> Table:
    predictions = {} if facts.advice is None else {member.key: member for member in facts.advice.front}
    unlikely = None if facts.advice is None else 0.0
    rows = []
    for member in facts.front:
        prediction, trial, progress = predictions.get(member.key), member.trial, member.progress
        position = f"{progress.stage} {progress.windows:,}"
        mean, probability = (None, unlikely) if prediction is None else (prediction.mean, prediction.probability)
        measured = [trial.ratio, position, progress.cost, progress.primary_score]
        rows.append([Trial(trial.number), facts.name(trial), *measured, mean, probability])
    numeric = [f"cost ({facts.unit})", facts.measure, "predicted", "P(on the front)"]
    return Table(["trial", "", "ratio", "stopped at", *numeric], rows)


def _name_baselines(facts: Facts, axes: Any) -> None:
    """Label the ends of the baselines' curves, with labels moved apart if they would overlap."""
    low, high = axes.get_ylim()
    step, last = (high - low) / 24, -math.inf
    for record in sorted((record for record in facts.drawn if record.is_baseline), key=last_score):
        end = record.scored[-1]
        last = max(end.primary_score, last + step)
        arrow = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.6}
        axes.annotate(
            facts.name(record), (end.cost, end.primary_score), xytext=(1.02, last),
            textcoords=axes.get_yaxis_transform(), fontsize=7, va="center", annotation_clip=False, arrowprops=arrow,
        )  # fmt: skip


FRONT = Plot("front", "Score by cost", draw_front, table_front, nothing_scored)
