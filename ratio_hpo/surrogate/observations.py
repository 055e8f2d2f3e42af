"""Observations of the response model: points of every curve, including those of pruned and running trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.measures import PRIMARY_SCORE, languages_of
from ratio_hpo.core.trial import NO_INTERMEDIATE, Progress, State, TrialRecord
from ratio_hpo.surrogate.features import Point

Array = NDArray[np.float64]

MAX_POINTS = 400
"""Maximum number of points of a model. At most half of them are the best last points of trials; then come the other
last points and then all other points, newest trials first."""

CLOSE = 1e-6
"""Tolerance for the primary score as the weighted mean of its outputs."""


@dataclass(frozen=True, slots=True)
class Observations:
    """Points with their scores.

    Attributes:
        points: points in the order of trials and costs.
        trials: trial number of each point [n].
        costs: attributed cost of each point [n].
        scores: score of each output at each point [n, m].
        names: score keys of the outputs: languages, targets or the primary score.
        weights: weight of each output in the primary score [m].
    """

    points: list[Point]
    trials: NDArray[np.intp]
    costs: Array
    scores: Array
    names: tuple[str, ...]
    weights: Array

    def __len__(self) -> int:
        return len(self.points)


def windows_at(record: TrialRecord, progress: Progress) -> dict[str, float]:
    """Return the windows consumed by each stage at an evaluation."""
    windows: dict[str, float] = {}
    if progress.stage in record.plan.stages or progress.parts:
        for stage, plan in record.plan.stages.items():
            if stage == progress.stage or stage in progress.parts:
                break
            windows[stage] = plan.windows
    else:
        for point in record.curve:
            if point.stage == progress.stage:
                break
            windows[point.stage] = point.windows
    return {**windows, **(progress.parts or {progress.stage: progress.windows})}


def drawn_by(record: TrialRecord, windows: Mapping[str, float]) -> Point:
    """Return a point of a trial, with the realised shares of its first stage if they are known."""
    stage = next(iter(record.plan.stages.values()), None)
    shares = {name: source.share_windows for name, source in stage.sources.items()} if stage is not None else None
    return Point(params=record.params, ratio=record.plan.ratio_realised, shares=shares or None, windows=windows)


def learned_from(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials whose parameters lie in the search space."""
    return [record for record in records if record.kind != NO_INTERMEDIATE and record.params]


def observations(
    records: Sequence[TrialRecord],
    targets: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Observations:
    """Return the scored points of trials that have not failed.

    Args:
        records: trials.
        targets: weight of each target in the primary score, by name.
        weights: weight of each language in the primary score; equal weights if empty.
    """
    pairs = [
        (record, point) for record in learned_from(records) if record.state is not State.FAIL for point in record.scored
    ]
    if len(pairs) > MAX_POINTS:
        pairs = [pairs[k] for k in _selected_points(pairs)]
    names, shares, scores = _outputs([point.scores for _, point in pairs], _ScoreWeights(targets or {}, weights or {}))
    return Observations(
        points=[drawn_by(record, windows_at(record, point)) for record, point in pairs],
        trials=np.array([record.number for record, _ in pairs], dtype=np.intp),
        costs=np.array([point.cost for _, point in pairs], dtype=float),
        scores=scores,
        names=names,
        weights=shares,
    )


def names_languages(records: Sequence[TrialRecord], weights: Mapping[str, float] | None = None) -> bool:
    """Return whether a model has one output for each language; True if no language is scored.

    Args:
        weights: weight of each language in the primary score; equal weights if empty.
    """
    points = [point for record in records for point in record.scored]
    languages = set.intersection(*(set(languages_of(point.scores, "score/")) for point in points)) if points else set()
    return not languages or _outputs([point.scores for point in points], _ScoreWeights({}, weights or {}))[0] != (
        PRIMARY_SCORE,
    )


def _selected_points(pairs: Sequence[tuple[TrialRecord, Progress]]) -> list[int]:
    """Return the indices of the points to use if there are more than `MAX_POINTS`."""
    ends = [k for k, (record, point) in enumerate(pairs) if point is record.scored[-1]]
    best = sorted(ends, key=lambda k: (-pairs[k][1].primary_score, pairs[k][0].number))[: MAX_POINTS // 2]
    is_end = set(ends)
    latest = sorted(range(len(pairs)), key=lambda k: (k not in is_end, -pairs[k][0].number))
    return sorted(list(dict.fromkeys([*best, *latest]))[:MAX_POINTS])


@dataclass(frozen=True, slots=True)
class _ScoreWeights:
    """Weights of targets and languages in the primary score; languages have equal weights if none are given."""

    targets: Mapping[str, float]
    languages: Mapping[str, float]


def _outputs(
    points: Sequence[Mapping[str, float]], score_weights: _ScoreWeights
) -> tuple[tuple[str, ...], Array, Array]:
    """Return names, weights and scores of the outputs: languages, else targets, else only the primary score."""
    primary_score = np.array([point[PRIMARY_SCORE] for point in points])
    languages = set.intersection(*(set(languages_of(point, "score/")) for point in points)) if points else set()
    by_language = score_weights.languages or dict.fromkeys(languages, 1.0)
    keys = {
        tuple(f"score/{language}" for language in sorted(languages)): [
            by_language.get(language, 0.0) for language in sorted(languages)
        ],
        tuple(f"{target}/mean" for target in score_weights.targets): [*score_weights.targets.values()],
    }
    for names, output_weights in keys.items():
        if names and all(name in point for point in points for name in names):
            scores, weights = np.array([[point[name] for name in names] for point in points]), np.array(output_weights)
            if weights.sum() > 0 and np.allclose(scores @ (weights / weights.sum()), primary_score, atol=CLOSE):
                return names, weights / weights.sum(), scores
    return (PRIMARY_SCORE,), np.ones(1), primary_score[:, None]
