"""Plots of a study as matplotlib figures, for papers, pages and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.files import written_whole
from ratio_hpo.core.yaml import did_you_mean
from ratio_hpo.report.plots.base import Facts, Plot
from ratio_hpo.report.plots.confirmation import CONFIRMATION, NOISE
from ratio_hpo.report.plots.front import FRONT
from ratio_hpo.report.plots.parameters import IMPORTANCE, PARALLEL, REALISED, SLICES, TERNARY
from ratio_hpo.report.plots.progress import CURVES, HYPERVOLUME, SAVINGS, TIMELINE
from ratio_hpo.report.plots.response import GAINS, HEAT, LANGUAGES, RESPONSE
from ratio_hpo.report.plots.style import styled

PLOTS: dict[str, Plot] = {
    picture.name: picture
    for picture in (
        CONFIRMATION, FRONT, RESPONSE, LANGUAGES, HEAT, GAINS, CURVES, HYPERVOLUME, IMPORTANCE, SLICES, PARALLEL,
        TERNARY, REALISED, SAVINGS, TIMELINE, NOISE,
    )
}  # fmt: skip
"""All plots by name, in the order of the report."""

EXTENSIONS = (".png", ".svg", ".pdf")


def check_ending(path: Path) -> None:
    """Check that a plot can be written to this file.

    Raises:
        StudyError: If the file extension is not supported.
    """
    if path.suffix not in EXTENSIONS:
        raise StudyError(
            f"{path}: the file extension {path.suffix or '(none)'} is not supported; use one of {', '.join(EXTENSIONS)}"
        )


def find_plot(name: str) -> Plot:
    """Return the plot of this name.

    Raises:
        StudyError: If there is no such plot.
    """
    if name not in PLOTS:
        raise StudyError(f"unknown plot {name!r} ({did_you_mean(name, list(PLOTS))})")
    return PLOTS[name]


def draw(facts: Facts, name: str) -> tuple[Any, list[Any]]:
    """Return a plot as a matplotlib figure and its axes.

    Raises:
        StudyError: If there is no such plot, or nothing to plot.
    """
    from matplotlib.figure import Figure

    plot = find_plot(name)
    reason = plot.missing(facts)
    if reason is not None:
        raise StudyError(f"study {facts.view.name}: cannot plot {name}: {reason}")
    with styled():
        figure = Figure(layout="constrained", dpi=150)
        axes = list(plot.draw(facts, figure))
    return figure, axes


def save(facts: Facts, name: str, path: Path) -> Path:
    """Write a plot to a PNG, SVG or PDF file and return its path.

    Raises:
        StudyError: If there is no such plot, nothing to plot, or the file extension is not supported.
        OSError: If the file cannot be written.
    """
    check_ending(path)
    figure, _ = draw(facts, name)
    with styled(), written_whole(path) as partial:
        figure.savefig(partial, format=path.suffix[1:])
    return path
