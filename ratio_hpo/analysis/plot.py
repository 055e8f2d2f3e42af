"""The front as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.study.front import curve_points, front
from ratio_hpo.study.view import StudyView

STYLES = {State.COMPLETE: "-", State.PRUNED: ":", State.FAIL: ":", State.RUNNING: "--"}


def plot_front(view: StudyView, path: Path) -> Path:
    """Curves of all trials, coloured by ratio, with the anytime front and the target; PNG, SVG or PDF by ending.

    Raises:
        StudyError: nothing has been evaluated yet, or the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import colors, pyplot

    drawn = [record for record in view.records if record.curve]
    if not drawn:
        raise StudyError(f"study {view.name} has no evaluation yet; wait for its first one")
    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=150, layout="constrained")
    colours, scale = pyplot.get_cmap("viridis"), colors.Normalize(0.0, 1.0)
    for record in drawn:
        costs, scores = zip(*curve_points(record), strict=True)
        colour = colours(scale(record.ratio)) if record.ratio is not None else "grey"
        style = STYLES.get(record.state, "-")
        axes.plot(costs, scores, style, marker=".", markersize=4, color=colour, alpha=0.55, linewidth=1.2)
    _name_anchors(axes, [record for record in drawn if record.is_anchor])
    members = front(view.records)
    costs = [member.progress.cost for member in members]
    scores = [member.progress.mean_f1 for member in members]
    axes.step(costs, scores, where="post", color="black", linewidth=1.6, label="anytime front", zorder=4)
    shades = [colours(scale(m.trial.ratio)) if m.trial.ratio is not None else "grey" for m in members]
    axes.scatter(costs, scores, c=shades, edgecolors="black", s=48, zorder=5)
    if view.target is not None:
        axes.axhline(view.target, color="tab:red", linewidth=1, linestyle="--", label=f"target F1 {view.target:.3f}")
    axes.set_xlabel("attributed cost (windows from the base model on)")
    axes.set_ylabel("mean F1 on select")
    axes.set_title(f"{view.name}: speed against accuracy (dotted: pruned)")
    axes.legend(loc="lower right", fontsize=8)
    figure.colorbar(pyplot.cm.ScalarMappable(scale, colours), ax=axes, label="ratio (share of non-English windows)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: the plot cannot be written ({error}); name another --png") from error
    finally:
        pyplot.close(figure)
    return path


def _name_anchors(axes: Any, anchors: list[TrialRecord]) -> None:
    """Names at the ends of the anchors' curves, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    step, last = (high - low) / 35, -math.inf
    for record in sorted(anchors, key=lambda r: r.curve[-1].mean_f1):
        end = record.curve[-1]
        height = max(end.mean_f1, last + step)
        name = record.kind.replace("_", "-").replace("+", ", ")
        axes.annotate(name, (end.cost, height), xytext=(8, -4), textcoords="offset points", fontsize=7)
        last = height
