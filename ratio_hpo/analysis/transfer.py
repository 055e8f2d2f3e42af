"""Transfer: what each mixture gains over no intermediate training, by target and language (the STILTs papers' tables).

A gain is the difference of two scores over the same items; its standard error is the jackknife of that difference. A
gain is marked where it is beyond 1.96 of these errors after Holm's correction over all trials of its column. All of a
search has one training seed, which no error over items knows of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.scores import VALIDATION
from ratio_hpo.core.trial import NO_INTERMEDIATE, Progress, State, TrialRecord
from ratio_hpo.metrics.ratio import Sums, paired_error, ratio
from ratio_hpo.study.view import StudyView
from ratio_hpo.training.items import ItemStore, sums_by_part

NOTE = "one seed: * is beyond 1.96 standard errors over evaluation items, Holm-corrected over its column"
LEVEL = 0.05

Column = tuple[str, str]
"""A target and a language; `mean` over its languages."""


def transfer(view: StudyView, items: ItemStore) -> dict[str, Any]:
    """The gain of every trial with a final score over the trial without intermediate training.

    Raises:
        StudyError: there is no such trial, it has not ended, or its items are not here.
    """
    baseline = next((record for record in view.records if record.kind == NO_INTERMEDIATE), None)
    if baseline is None:
        raise StudyError(
            f"study {view.name} has no baseline `{NO_INTERMEDIATE}` to compare with; add it to `baselines` of the "
            "experiment, and search under another ⟨study⟩"
        )
    if baseline.state is not State.COMPLETE:
        raise StudyError(
            f"trial {baseline.number}, the baseline `{NO_INTERMEDIATE}`, is {baseline.state.value}; wait for it"
        )
    primary = view.about.primaries
    base = _sums(baseline, items, primary)
    if not base:
        raise StudyError(
            f"trial {baseline.number} of {view.name} has no item scores below ⟨root⟩; search it again here"
        )
    columns = _columns(base, list(primary))
    rows = []
    for record in view.records:
        if not record.scored or record is baseline:
            continue
        ours = _sums(record, items, primary)
        gains = {column: _gain(column, ours, base) for column in columns}
        rows.append((record, gains))
    marked = _holm([gains for _, gains in rows], columns)
    return {
        "schema": SCHEMA,
        "study": view.name,
        "note": NOTE,
        "baseline": {
            "trial": baseline.number,
            "scores": [
                {"target": target, "language": language, "score": _score((target, language), base)}
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
"""Score, gain and standard error of the gain; None: it was not scored there."""


def _sums(record: TrialRecord, items: ItemStore, primary: Mapping[str, str]) -> _Sums:
    """The sums of each target and language at a trial's end; none where the items are not here."""
    last: Progress = record.scored[-1]
    files = dict(last.item_files) or (dict.fromkeys(primary, last.items) if last.items else {})
    found: _Sums = {}
    for name in sorted({str(file) for file in files.values()}):
        if not items.has(name):
            continue
        for (target, language, measure), entry in sums_by_part(items.read(name), VALIDATION).items():
            if files.get(target) == name and primary.get(target) == measure:
                found[target, language] = entry
    return found


def _columns(base: _Sums, order: Sequence[str]) -> list[Column]:
    """Each target's languages, and their mean, in the order of the experiment."""
    scored = dict.fromkeys(target for target, _ in base)
    targets = sorted(scored, key=lambda target: order.index(target) if target in order else len(order))
    columns = []
    for target in targets:
        columns += [column for column in base if column[0] == target]
        columns.append((target, "mean"))
    return columns


def _score(column: Column, sums: _Sums) -> float | None:
    if column[1] != "mean":
        return ratio(sums[column][1]) if column in sums else None
    values = [ratio(entry[1]) for key, entry in sums.items() if key[0] == column[0]]
    return sum(values) / len(values) if values else None


def _gain(column: Column, ours: _Sums, base: _Sums) -> _Gain:
    if column[1] == "mean":
        each = [_gain(key, ours, base) for key in base if key[0] == column[0]]
        known = [gain for gain in each if gain is not None]
        if len(known) < len(each):
            return None
        score, gain = (sum(one[k] for one in known) / len(known) for k in (0, 1))
        return score, gain, math.sqrt(sum(one[2] ** 2 for one in known)) / len(known)
    if column not in ours or ours[column][0] != base[column][0]:
        return None
    score = ratio(ours[column][1])
    return score, score - ratio(base[column][1]), paired_error(ours[column][1], base[column][1])


def _holm(rows: Sequence[Mapping[Column, _Gain]], columns: Sequence[Column]) -> set[tuple[int, Column]]:
    """The (row, column) whose gain stays beyond chance over all rows of its column (Holm 1979)."""
    marked: set[tuple[int, Column]] = set()
    for column in columns:
        tested = [(_p_value(gain), k) for k, row in enumerate(rows) if (gain := row[column]) is not None]
        for rank, (p_value, k) in enumerate(sorted(tested)):
            if p_value > LEVEL / (len(tested) - rank):
                break
            marked.add((k, column))
    return marked


def _p_value(gain: tuple[float, float, float]) -> float:
    """Two-sided, of a normal: without any spread, a difference is certain and none is none."""
    if gain[2] == 0.0:
        return float(gain[1] == 0.0)
    return math.erfc(abs(gain[1] / gain[2]) / math.sqrt(2.0))


def plot_transfer(content: Mapping[str, Any], path: Path) -> Path:
    """Gains as a picture: a row a trial, a column a target and language, red for loss and blue for gain.

    Raises:
        StudyError: the ending is not known.
        OSError: the file cannot be written.
    """
    from ratio_hpo.analysis.plots import check_ending

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
            place = columns.index((gain["target"], gain["language"]))
            values[row, place] = gain["gain"]
    most = max(float(np.nanmax(np.abs(values))) if trials else 0.0, 0.01)
    for row, trial in enumerate(trials):
        for gain in trial["gains"]:
            text = f"{100 * gain['gain']:+.1f}{'*' if gain['marked'] else ''}"
            shade = "white" if abs(gain["gain"]) > 0.6 * most else "black"
            place = columns.index((gain["target"], gain["language"]))
            axes.text(place, row, text, ha="center", va="center", fontsize=7, color=shade)
    shown = axes.imshow(values, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
    axes.set_xticks(range(len(columns)), [f"{target}\n{language}" for target, language in columns], fontsize=8)
    names = [_name(trial) for trial in trials]
    axes.set_yticks(range(len(trials)), names, fontsize=8)
    for place, (_, language) in enumerate(columns[:-1]):
        if language == "mean":
            axes.axvline(place + 0.5, color="black", linewidth=1)
    axes.set_title(f"{content['study']}: gain over no intermediate training, in points\n(one seed)", fontsize=9)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="gain")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _name(trial: Mapping[str, Any]) -> str:
    """A trial in the picture: its number, what it is, how it ended, its ratio."""
    ended = "" if trial["state"] == "COMPLETE" else f", {trial['state'].lower()}"
    ratio_ = "" if trial["ratio"] is None else f" ({trial['ratio']:.2f})"
    return f"{trial['trial']} {trial['kind']}{ended}{ratio_}"
