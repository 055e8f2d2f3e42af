"""The front as a page that answers to the mouse: plotly, whole in one file, without a network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ratio_hpo.analysis.plot import drawn_curves
from ratio_hpo.core.trial import State
from ratio_hpo.study.front import curve_points, front
from ratio_hpo.study.view import StudyView

SCALE = "Viridis"


def write_front_page(view: StudyView, path: Path) -> Path:
    """Curves of all trials, coloured by ratio, with the anytime front and the target, as HTML.

    Raises:
        StudyError: nothing has been evaluated yet.
        OSError: the file cannot be written.
    """
    from plotly import graph_objects

    drawn = drawn_curves(view)
    figure = graph_objects.Figure()
    for record in drawn:
        costs, scores = zip(*curve_points(record), strict=True)
        dash = {
            "dash": "dot" if record.state is State.PRUNED else "solid",
            "color": _colour(record.ratio),
            "width": 1.5,
        }
        ratio = "-" if record.ratio is None else f"{record.ratio:.3f}"
        label = f"trial {record.number} ({record.kind}, {record.state.value}), ratio {ratio}"
        figure.add_scatter(x=costs, y=scores, mode="lines+markers", name=f"{record.number}", line=dash,
                           marker={"size": 4}, hovertext=label, showlegend=False)  # fmt: skip
    members, measure = front(view.records), view.about.measure
    hover = [_hover(member, measure) for member in members]
    figure.add_scatter(
        x=[member.progress.cost for member in members],
        y=[member.progress.headline for member in members],
        mode="lines+markers",
        name="anytime front",
        line={"shape": "hv", "color": "black", "width": 2},
        marker={
            "size": 10,
            "color": [math.nan if member.trial.ratio is None else member.trial.ratio for member in members],
            "colorscale": SCALE,
            "cmin": 0,
            "cmax": 1,
            "line": {"color": "black", "width": 1},
            "colorbar": {"title": "ratio"},
        },
        hovertext=hover,
        hoverinfo="text",
    )
    if view.target is not None:
        figure.add_hline(
            y=view.target, line={"dash": "dash", "color": "firebrick"}, annotation_text=f"target {measure}"
        )
    figure.update_layout(
        title=f"{view.name}: speed against accuracy (dotted: pruned)",
        xaxis_title=f"attributed cost ({view.about.cost_unit} from the base model on)",
        yaxis_title=f"mean {measure} on select",
        template="plotly_white",
        legend={"x": 0.99, "y": 0.01, "xanchor": "right", "yanchor": "bottom"},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(str(path), include_plotlyjs=True, full_html=True)
    return path


def _hover(member: Any, measure: str) -> str:
    progress, trial = member.progress, member.trial
    lines = [f"trial {trial.number}, {progress.stage} {progress.windows:,}", f"{measure} {progress.headline:.3f}"]
    lines += [f"{key} = {value:.3g}" for key, value in trial.params.items() if isinstance(value, int | float)]
    lines += [f"{language} {score:.3f}" for language, score in progress.by_language().items()]
    return "<br>".join(lines)


def _colour(ratio: float | None) -> str:
    from plotly.colors import sample_colorscale

    return "grey" if ratio is None else str(sample_colorscale(SCALE, [min(max(ratio, 0.0), 1.0)])[0])
