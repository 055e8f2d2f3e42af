"""Plot of the gains over no intermediate training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ratio_hpo.analysis.transfer import Transfer, TrialGains
from ratio_hpo.report.plots import check_ending


def plot_transfer(result: Transfer, path: Path) -> Path:
    """Plot gains as a heat map: one row per trial, one column per target and language, red for loss, blue for gain.

    Raises:
        StudyError: If the file extension is not supported.
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    check_ending(path)
    columns = [(score.target, score.language) for score in result.baseline.scores]
    values = np.full((len(result.trials), len(columns)), np.nan)
    cells = [
        (row, columns.index((gain.target, gain.language)), gain)
        for row, trial in enumerate(result.trials)
        for gain in trial.gains
    ]
    for row, column, gain in cells:
        values[row, column] = gain.gain
    limit = max(float(np.nanmax(np.abs(values))) if result.trials else 0.0, 0.01)
    size = (2.5 + 0.75 * len(columns), 1.8 + 0.35 * len(result.trials))
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for row, column, gain in cells:
        text = f"{100 * gain.gain:+.1f}{'*' if gain.marked else ''}"
        colour = "white" if abs(gain.gain) > 0.6 * limit else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(columns)), [f"{target}\n{language}" for target, language in columns], fontsize=8)
    axes.set_yticks(range(len(result.trials)), [_name(trial) for trial in result.trials], fontsize=8)
    for position, (_, language) in enumerate(columns[:-1]):
        if language == "mean":
            axes.axvline(position + 0.5, color="black", linewidth=1)
    axes.set_title(f"{result.study}: gain over no intermediate training, in points\n(one seed)", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.8, label="gain")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _name(trial: TrialGains) -> str:
    """Return the row label of a trial: number, kind, state if not complete, and ratio."""
    ended = "" if trial.state == "COMPLETE" else f", {trial.state.lower()}"
    ratio = "" if trial.ratio is None else f" ({trial.ratio:.2f})"
    return f"{trial.trial} {trial.kind}{ended}{ratio}"
