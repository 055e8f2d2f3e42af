"""The front as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.study.front import curve_points, front
from ratio_hpo.study.view import StudyView

GREY = (0.5, 0.5, 0.5, 1.0)
ENDINGS = (".png", ".svg", ".pdf")

MOST_DRAWN, MOST_DOTTED = 300, 100
"""Curves to draw, and those up to which each evaluation gets a dot."""

STYLES = {State.COMPLETE: "-", State.PRUNED: ":", State.FAIL: ":", State.RUNNING: "--"}


def plot_front(view: StudyView, path: Path) -> Path:
    """Curves of all trials, coloured by ratio, with the anytime front and the target; PNG, SVG or PDF by ending.

    Raises:
        StudyError: nothing has been evaluated yet, or the ending is not known.
        OSError: the file cannot be written.
    """
    check_ending(path)
    from matplotlib import colormaps, colors
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    drawn = drawn_curves(view)
    figure = Figure(figsize=(8, 5), dpi=150)
    figure.subplots_adjust(left=0.08, right=1.02, bottom=0.1, top=0.94)
    axes = figure.add_subplot()
    colours, scale = colormaps["viridis"], colors.Normalize(0.0, 1.0)
    _draw_curves(axes, drawn, lambda ratio: colours(scale(ratio)) if ratio is not None else GREY)
    _name_anchors(axes, [record for record in drawn if record.is_anchor])
    members, measure = front(view.records), view.about.measure
    costs = [member.progress.cost for member in members]
    scores = [member.progress.headline for member in members]
    axes.step(costs, scores, where="post", color="black", linewidth=1.6, label="anytime front", zorder=4)
    shades = [colours(scale(m.trial.ratio)) if m.trial.ratio is not None else "grey" for m in members]
    axes.scatter(costs, scores, c=shades, edgecolors="black", s=48, zorder=5)
    if view.target is not None:
        axes.axhline(
            view.target, color="tab:red", linewidth=1, linestyle="--", label=f"target {measure} {view.target:.3f}"
        )
    axes.set_xlabel(f"attributed cost ({view.about.cost_unit} from the base model on)")
    axes.set_ylabel(f"mean {measure} on select")
    axes.set_title(f"{view.name}: speed against accuracy (dotted: pruned)")
    axes.legend(loc="lower right", fontsize=8)
    bar = ScalarMappable(scale, colours)
    figure.colorbar(bar, ax=axes, pad=0.02, label="ratio (share of non-English windows)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def check_ending(path: Path) -> None:
    """Refuse a file that no picture can be written to.

    Raises:
        StudyError: with the endings that there are.
    """
    if path.suffix not in ENDINGS:
        raise StudyError(f"{path}: no picture ends in {path.suffix or 'nothing'}; end it in {', '.join(ENDINGS)}")


def drawn_curves(view: StudyView) -> list[TrialRecord]:
    """The trials whose curves are drawn: all, or of many the anchors and those with the highest headline.

    Raises:
        StudyError: nothing has been evaluated yet.
    """
    drawn = [record for record in view.records if record.scored]
    if not drawn:
        raise StudyError(f"study {view.name} has no evaluation yet; wait for its first one")
    return sorted(drawn, key=lambda record: (not record.is_anchor, -record.scored[-1].headline))[:MOST_DRAWN]


def _draw_curves(axes: Any, drawn: Sequence[TrialRecord], colour_of: Callable[[float | None], Any]) -> None:
    """All curves as one collection a style, which takes a tenth of the time of a line each."""
    from matplotlib.collections import LineCollection

    for style in dict.fromkeys(STYLES.values()):
        chosen = [record for record in drawn if STYLES.get(record.state, "-") == style]
        curves, shades = [curve_points(record) for record in chosen], [colour_of(record.ratio) for record in chosen]
        axes.add_collection(LineCollection(curves, colors=shades, linestyles=style, linewidths=1.2, alpha=0.55))
        if len(drawn) <= MOST_DOTTED and curves:
            points = [point for curve in curves for point in curve]
            each = [shade for curve, shade in zip(curves, shades, strict=True) for _ in curve]
            axes.scatter(*zip(*points, strict=True), c=each, s=8, alpha=0.55, linewidths=0)
    axes.autoscale_view()


def _name_anchors(axes: Any, anchors: list[TrialRecord]) -> None:
    """Names at the ends of the anchors' curves, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    step, last = (high - low) / 35, -math.inf
    for record in sorted(anchors, key=lambda r: r.scored[-1].headline):
        end = record.scored[-1]
        height = max(end.headline, last + step)
        name = record.kind.replace("_", "-").replace("+", ", ")
        axes.annotate(name, (end.cost, height), xytext=(8, -4), textcoords="offset points", fontsize=7)
        last = height
