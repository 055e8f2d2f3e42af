"""Transfer: gain of each trial over no intermediate training, by target and language (as in the STILTs papers).

A gain is the difference of two scores over the same items, with the jackknife standard error of that difference. A gain
is marked if it is significant at 5 % after Holm correction over all trials of its column. All trials of a search share
one training seed, so the error over items does not include the variance over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.json_format import Result
from ratio_hpo.core.measures import VALIDATION
from ratio_hpo.core.trial import NO_INTERMEDIATE, State, TrialRecord
from ratio_hpo.metrics.convergence import Sums, paired_error, ratio
from ratio_hpo.metrics.paired import LEVEL, holm
from ratio_hpo.study.snapshot import StudyView
from ratio_hpo.training.items import ItemStore, sums_by_part

NOTE = "one seed: * is beyond 1.96 standard errors over evaluation items, Holm-corrected over its column"

MEAN = "mean"
"""Name of the mean over the languages of a target."""


class Column(NamedTuple):
    """A column of the table: a target, and one of its languages or `mean`."""

    target: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnScore:
    """A score of the baseline without intermediate training.

    Attributes:
        target: Name of the target.
        language: Language; `mean`: mean over the languages of the target.
        score: Score; null: it was not scored.
    """

    target: str
    language: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineScores:
    """The baseline without intermediate training.

    Attributes:
        trial: Number of its trial.
        scores: Its scores by target and language.
    """

    trial: int
    scores: tuple[ColumnScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """The gain of a trial over the baseline.

    Attributes:
        target: Name of the target.
        language: Language; `mean`: mean over the languages of the target.
        score: Score of the trial.
        gain: Score minus the baseline's score.
        error: Standard error of the gain over evaluation items.
        marked: Whether the gain is significant at 5 % after Holm correction over its column.
    """

    target: str
    language: str
    score: float
    gain: float
    error: float
    marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialGains:
    """The gains of a trial.

    Attributes:
        trial: Number of the trial.
        kind: `sampled`, `enqueued`, or the baseline's name.
        state: State of the trial.
        ratio: Requested ratio; null: it has none.
        gains: Gains by target and language.
    """

    trial: int
    kind: str
    state: str
    ratio: float | None
    gains: tuple[Gain, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Result):
    """The result of `transfer`.

    Attributes:
        study: Name of the study.
        note: Meaning of the marks.
        baseline: The baseline without intermediate training.
        trials: Gains of each other trial.
    """

    study: str
    note: str
    baseline: BaselineScores
    trials: tuple[TrialGains, ...]


def transfer(view: StudyView, items: ItemStore) -> Transfer:
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
    records = [record for record in view.records if record.scored and record is not baseline]
    all_sums = [_sums(record, items, primary) for record in records]
    gains: dict[int, list[Gain]] = {record.number: [] for record in records}
    for column in columns:
        measured = [_gain(column, sums, baseline_sums) for sums in all_sums]
        rows = [(record, gain) for record, gain in zip(records, measured, strict=True) if gain is not None]
        corrected = holm([_p_value(gain, error) for _, (_, gain, error) in rows])
        for (record, (score, gain, error)), p in zip(rows, corrected, strict=True):
            gains[record.number].append(
                Gain(**column._asdict(), score=score, gain=gain, error=error, marked=p <= LEVEL)
            )
    scores = tuple(ColumnScore(**column._asdict(), score=_score(column, baseline_sums)) for column in columns)
    return Transfer(
        study=view.name,
        note=NOTE,
        baseline=BaselineScores(trial=baseline.number, scores=scores),
        trials=tuple(
            TrialGains(
                trial=record.number,
                kind=record.kind,
                state=record.state.value,
                ratio=record.ratio,
                gains=tuple(gains[record.number]),
            )
            for record in records
        ),
    )


_Sums = dict[Column, tuple[list[str], Sums]]


def _sums(record: TrialRecord, items: ItemStore, primary: Mapping[str, str]) -> _Sums:
    """Return the item sums of each target and language at the trial's last evaluation; empty if no items are stored."""
    last = record.scored[-1]
    files = dict(last.item_files) or (dict.fromkeys(primary, last.items) if last.items else {})
    sums: _Sums = {}
    for name in filter(items.has, sorted(last.item_names)):
        for (target, language, measure), entry in sums_by_part(items.read(name), VALIDATION).items():
            if files.get(target) == name and primary.get(target) == measure:
                sums[Column(target, language)] = entry
    return sums


def _columns(baseline_sums: _Sums, order: Sequence[str]) -> list[Column]:
    """Return the languages of each target and their mean, with targets in the order of the experiment."""
    scored = dict.fromkeys(target for target, _ in baseline_sums)
    columns = []
    for target in sorted(scored, key=lambda target: order.index(target) if target in order else len(order)):
        columns += [*(column for column in baseline_sums if column[0] == target), Column(target, MEAN)]
    return columns


def _score(column: Column, sums: _Sums) -> float | None:
    if column.language != MEAN:
        return ratio(sums[column][1]) if column in sums else None
    values = [ratio(entry[1]) for key, entry in sums.items() if key.target == column.target]
    return sum(values) / len(values) if values else None


def _gain(column: Column, sums: _Sums, baseline_sums: _Sums) -> tuple[float, float, float] | None:
    """Return score, gain and standard error of the gain; None if the trial has no such score."""
    if column.language == MEAN:
        gains = [_gain(key, sums, baseline_sums) for key in baseline_sums if key.target == column.target]
        scored_gains = [gain for gain in gains if gain is not None]
        if len(scored_gains) < len(gains):
            return None
        score, gain = (sum(part[k] for part in scored_gains) / len(scored_gains) for k in (0, 1))
        return score, gain, math.sqrt(sum(part[2] ** 2 for part in scored_gains)) / len(scored_gains)
    if column not in sums or sums[column][0] != baseline_sums[column][0]:
        return None
    score = ratio(sums[column][1])
    return score, score - ratio(baseline_sums[column][1]), paired_error(sums[column][1], baseline_sums[column][1])


def _p_value(gain: float, error: float) -> float:
    """Return the two-sided normal p-value; with a zero error it is 0 for a non-zero gain and 1 for a zero gain."""
    return float(gain == 0.0) if error == 0.0 else math.erfc(abs(gain / error) / math.sqrt(2.0))
