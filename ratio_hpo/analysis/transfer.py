"""Transfer: gain of each trial over no intermediate training, by target and language (as in the STILTs papers).

A gain is the difference of two scores over the same items, with the jackknife standard error of that difference. A gain
is marked if it is significant at 5 % after Holm correction over all trials of its column. All trials of a search share
one training seed, so the error over items does not include the variance over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.measures import VALIDATION
from ratio_hpo.core.trial import NO_INTERMEDIATE, Progress, State, TrialRecord
from ratio_hpo.metrics.convergence import Sums, paired_error, ratio
from ratio_hpo.study.snapshot import StudyView
from ratio_hpo.training.items import ItemStore, sums_by_part

NOTE = "one seed: * is beyond 1.96 standard errors over evaluation items, Holm-corrected over its column"
LEVEL = 0.05

Column = tuple[str, str]
"""A target and a language, or a target and `mean` for the mean over its languages."""


def transfer(view: StudyView, items: ItemStore) -> dict[str, Any]:
    """Return the gain of every scored trial over the baseline without intermediate training.

    Args:
        view: The study.
        items: The store with the item scores of its trials.

    Raises:
        StudyError: If the study lacks that baseline, the baseline is not complete, or its item scores are not stored.
    """
    baseline = next((record for record in view.records if record.kind == NO_INTERMEDIATE), None)
    if baseline is None:
        raise StudyError(
            f"study {view.name} has no baseline `{NO_INTERMEDIATE}` to compare with; add it to `baselines` in the "
            "experiment and search under another ⟨study⟩"
        )
    if baseline.state is not State.COMPLETE:
        raise StudyError(
            f"trial {baseline.number}, the baseline `{NO_INTERMEDIATE}`, is {baseline.state.value}; "
            "wait until it is complete"
        )
    primary = view.about.primaries
    baseline_sums = _sums(baseline, items, primary)
    if not baseline_sums:
        raise StudyError(
            f"trial {baseline.number} of {view.name} has no item scores below ⟨root⟩; use the ⟨root⟩ of its search"
        )
    columns = _columns(baseline_sums, list(primary))
    rows = []
    for record in view.records:
        if not record.scored or record is baseline:
            continue
        sums = _sums(record, items, primary)
        gains = {column: _gain(column, sums, baseline_sums) for column in columns}
        rows.append((record, gains))
    marked = _holm([gains for _, gains in rows], columns)
    return {
        "schema": SCHEMA,
        "study": view.name,
        "note": NOTE,
        "baseline": {
            "trial": baseline.number,
            "scores": [
                {"target": target, "language": language, "score": _score((target, language), baseline_sums)}
                for target, language in columns
            ],
        },
        "trials": [
            {
                "trial": record.number,
                "kind": record.kind,
                "state": record.state.value,
                "ratio": record.ratio,
                "gains": [
                    {
                        "target": column[0],
                        "language": column[1],
                        "score": gain[0],
                        "gain": gain[1],
                        "error": gain[2],
                        "marked": (record.number, column) in {(rows[k][0].number, c) for k, c in marked},
                    }
                    for column, gain in gains.items()
                    if gain is not None
                ],
            }
            for record, gains in rows
        ],
    }


_Sums = dict[Column, tuple[list[str], Sums]]
_Gain = tuple[float, float, float] | None
"""Score, gain and standard error of the gain; None if the trial has no such score."""


def _sums(record: TrialRecord, items: ItemStore, primary: Mapping[str, str]) -> _Sums:
    """Return the item sums of each target and language at the trial's last evaluation; empty if no items are stored."""
    last: Progress = record.scored[-1]
    files = dict(last.item_files) or (dict.fromkeys(primary, last.items) if last.items else {})
    sums: _Sums = {}
    for name in sorted({str(file) for file in files.values()}):
        if not items.has(name):
            continue
        for (target, language, measure), entry in sums_by_part(items.read(name), VALIDATION).items():
            if files.get(target) == name and primary.get(target) == measure:
                sums[target, language] = entry
    return sums


def _columns(baseline_sums: _Sums, order: Sequence[str]) -> list[Column]:
    """Return the languages of each target and their mean, with targets in the order of the experiment."""
    scored = dict.fromkeys(target for target, _ in baseline_sums)
    targets = sorted(scored, key=lambda target: order.index(target) if target in order else len(order))
    columns = []
    for target in targets:
        columns += [column for column in baseline_sums if column[0] == target]
        columns.append((target, "mean"))
    return columns


def _score(column: Column, sums: _Sums) -> float | None:
    if column[1] != "mean":
        return ratio(sums[column][1]) if column in sums else None
    values = [ratio(entry[1]) for key, entry in sums.items() if key[0] == column[0]]
    return sum(values) / len(values) if values else None


def _gain(column: Column, sums: _Sums, baseline_sums: _Sums) -> _Gain:
    if column[1] == "mean":
        gains = [_gain(key, sums, baseline_sums) for key in baseline_sums if key[0] == column[0]]
        scored_gains = [gain for gain in gains if gain is not None]
        if len(scored_gains) < len(gains):
            return None
        score, gain = (sum(part[k] for part in scored_gains) / len(scored_gains) for k in (0, 1))
        return score, gain, math.sqrt(sum(part[2] ** 2 for part in scored_gains)) / len(scored_gains)
    if column not in sums or sums[column][0] != baseline_sums[column][0]:
        return None
    score = ratio(sums[column][1])
    return score, score - ratio(baseline_sums[column][1]), paired_error(sums[column][1], baseline_sums[column][1])


def _holm(rows: Sequence[Mapping[Column, _Gain]], columns: Sequence[Column]) -> set[tuple[int, Column]]:
    """Return the (row, column) pairs with a significant gain after correction over the rows of a column (Holm 1979)."""
    marked: set[tuple[int, Column]] = set()
    for column in columns:
        tested = [(_p_value(gain), k) for k, row in enumerate(rows) if (gain := row[column]) is not None]
        for rank, (p_value, k) in enumerate(sorted(tested)):
            if p_value > LEVEL / (len(tested) - rank):
                break
            marked.add((k, column))
    return marked


def _p_value(gain: tuple[float, float, float]) -> float:
    """Return the two-sided normal p-value; with a zero error it is 0 for a non-zero gain and 1 for a zero gain."""
    if gain[2] == 0.0:
        return float(gain[1] == 0.0)
    return math.erfc(abs(gain[1] / gain[2]) / math.sqrt(2.0))


def plot_transfer(content: Mapping[str, Any], path: Path) -> Path:
    """Plot gains as a heat map: one row per trial, one column per target and language, red for loss, blue for gain.

    Raises:
        StudyError: If the file extension is not supported.
        OSError: If the file cannot be written.
    """
    from ratio_hpo.report.plots import check_ending

    check_ending(path)
    import numpy as np
    from matplotlib.figure import Figure

    columns = [(score["target"], score["language"]) for score in content["baseline"]["scores"]]
    trials = content["trials"]
    values = np.full((len(trials), len(columns)), np.nan)
    figure = Figure(figsize=(2.5 + 0.75 * len(columns), 1.8 + 0.35 * len(trials)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for row, trial in enumerate(trials):
        for gain in trial["gains"]:
            position = columns.index((gain["target"], gain["language"]))
            values[row, position] = gain["gain"]
    limit = max(float(np.nanmax(np.abs(values))) if trials else 0.0, 0.01)
    for row, trial in enumerate(trials):
        for gain in trial["gains"]:
            text = f"{100 * gain['gain']:+.1f}{'*' if gain['marked'] else ''}"
            colour = "white" if abs(gain["gain"]) > 0.6 * limit else "black"
            position = columns.index((gain["target"], gain["language"]))
            axes.text(position, row, text, ha="center", va="center", fontsize=7, color=colour)
    image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(columns)), [f"{target}\n{language}" for target, language in columns], fontsize=8)
    names = [_name(trial) for trial in trials]
    axes.set_yticks(range(len(trials)), names, fontsize=8)
    for position, (_, language) in enumerate(columns[:-1]):
        if language == "mean":
            axes.axvline(position + 0.5, color="black", linewidth=1)
    axes.set_title(f"{content['study']}: gain over no intermediate training, in points\n(one seed)", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.8, label="gain")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _name(trial: Mapping[str, Any]) -> str:
    """Return the row label of a trial: number, kind, state if not complete, and ratio."""
    ended = "" if trial["state"] == "COMPLETE" else f", {trial['state'].lower()}"
    ratio_ = "" if trial["ratio"] is None else f" ({trial['ratio']:.2f})"
    return f"{trial['trial']} {trial['kind']}{ended}{ratio_}"
