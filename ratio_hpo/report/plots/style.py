"""The style of plots: colours that colour-blind readers can tell apart, text kept as text, few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

INK, FAINT, TARGET, GAIN, LOSS = "#1f2430", "#c9ced6", "#b3382c", "#0072b2", "#d55e00"
"""Colours of text and axes, grids and background marks, the target, gains, losses (Okabe and Ito 2008)."""

LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#2f93d0", "#8a6d00")
"""Colours of categories (Okabe and Ito 2008; yellow and sky blue darkened, for contrast on white and black)."""

UNKNOWN = "#8a8f98"
"""Colour of a trial without a ratio."""

PANEL = (2.5, 2.0)
"""Size of one of several small panels in inches."""


RATIOS = ("#0b6cae", "#7f60b8", "#c95c95", "#dc7714")
"""Colours from ratio 0 (blue) to 1 (orange). They differ in lightness too, for colour-blind readers, and each has a
contrast of at least 3:1 on white and on the report's dark background."""


def colour_of(ratio: float | None) -> Any:
    """Return the colour of a ratio."""
    return UNKNOWN if ratio is None else ratio_map()(min(max(ratio, 0.0), 1.0))


@cache
def ratio_map() -> Any:
    """Return the matplotlib colour map of ratios in [0, 1]."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ratio", RATIOS)


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save plots in this style within the context; fonts are embedded in PDF and text stays text in SVG."""
    import matplotlib

    settings: Any = {
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "white",
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "ratio-hpo",
        "path.simplify": True,
    }
    with matplotlib.rc_context(settings):
        yield


def one_panel(figure: Any, width: float, height: float) -> Any:
    """Resize the figure, in inches, and add axes that fill it."""
    figure.set_size_inches(width, height)
    return figure.add_subplot()


def panels(figure: Any, number: int, columns: int = 4) -> Sequence[Any]:
    """Add this many small panels with shared axes and resize the figure to hold them."""
    columns = min(columns, number)
    rows = -(-number // columns)
    figure.set_size_inches(max(PANEL[0] * columns, 4.0), PANEL[1] * rows + 0.4)
    all_axes = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes in all_axes[number:]:
        axes.remove()
    for k in range(max(number - columns, 0), number):
        all_axes[k].tick_params(labelbottom=True)
    return all_axes[:number]


def cost_axis(axes: Any, unit: str, what: str = "attributed cost") -> None:
    """Format the horizontal axis as cost, with thousands separators."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlabel(f"{what} ({unit})")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
