"""Pictures of a study: drawn on matplotlib figures, for papers, pages and the report alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.analysis.plots.base import Facts, Plot
from ratio_hpo.analysis.plots.confirmation import CONFIRMATION, NOISE
from ratio_hpo.analysis.plots.course import CURVES, HYPERVOLUME, SAVINGS, TIMELINE
from ratio_hpo.analysis.plots.front import FRONT
from ratio_hpo.analysis.plots.parameters import IMPORTANCE, PARALLEL, REALISED, SLICES, TERNARY
from ratio_hpo.analysis.plots.response import GAINS, HEAT, LANGUAGES, RESPONSE
from ratio_hpo.analysis.plots.style import styled
from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.files import written_whole

PICTURES: dict[str, Plot] = {
    picture.name: picture
    for picture in (
        CONFIRMATION, FRONT, RESPONSE, LANGUAGES, HEAT, GAINS, CURVES, HYPERVOLUME, IMPORTANCE, SLICES, PARALLEL,
        TERNARY, REALISED, SAVINGS, TIMELINE, NOISE,
    )
}  # fmt: skip
"""By name, in the order of the report."""

ENDINGS = (".png", ".svg", ".pdf")


def check_ending(path: Path) -> None:
    """Refuse a file that no picture can be written to.

    Raises:
        StudyError: with the endings that there are.
    """
    if path.suffix not in ENDINGS:
        raise StudyError(f"{path}: no picture ends in {path.suffix or 'nothing'}; end it in {', '.join(ENDINGS)}")


def find_plot(name: str) -> Plot:
    """A picture by name.

    Raises:
        StudyError: there is none, with the nearest name.
    """
    if name not in PICTURES:
        raise StudyError(f"no picture is called {name!r} ({did_you_mean(name, list(PICTURES))})")
    return PICTURES[name]


def draw(facts: Facts, name: str) -> tuple[Any, list[Any]]:
    """A picture as a figure of matplotlib with its axes.

    Raises:
        StudyError: there is no such picture, or nothing to draw.
    """
    from matplotlib.figure import Figure

    picture = find_plot(name)
    reason = picture.missing(facts)
    if reason is not None:
        raise StudyError(f"study {facts.view.name}: no picture {name}: {reason}")
    with styled():
        figure = Figure(layout="constrained", dpi=150)
        axes = list(picture.draw(facts, figure))
    return figure, axes


def save(facts: Facts, name: str, path: Path) -> Path:
    """A picture as a PNG, SVG or PDF file.

    Raises:
        StudyError: there is no such picture, nothing to draw, or another ending.
        OSError: the file cannot be written.
    """
    check_ending(path)
    figure, _ = draw(facts, name)
    with styled(), written_whole(path) as whole:
        figure.savefig(whole, format=path.suffix[1:])
    return path
