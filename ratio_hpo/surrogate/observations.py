"""What a study has seen, as the model takes it: points of every curve, stopped and running trials among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.scores import PRIMARY_SCORE, languages_of
from ratio_hpo.core.trial import NO_INTERMEDIATE, Progress, State, TrialRecord
from ratio_hpo.surrogate.features import Point

Array = NDArray[np.float64]

MAX_POINTS = 400
"""Points that a model is made of, at most: of so many trials the better ends, then all others, the latest ones first;
then what else of curves, the latest ones first."""

CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Observations:
    """Points with their scores.

    Attributes:
        points: in the order of trials and costs.
        trials: number of each point's trial [n].
        costs: attributed [n].
        scores: [n, m].
        names: of the outputs: languages, or targets, or the primary score.
        weights: of the outputs in the primary score [m].
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
    """Windows of every stage at an evaluation."""
    done: dict[str, float] = {}
    if progress.stage in record.plan.stages or progress.parts:
        for stage, plan in record.plan.stages.items():
            if stage == progress.stage or stage in progress.parts:
                break
            done[stage] = plan.windows
    else:
        for point in record.curve:
            if point.stage == progress.stage:
                break
            done[point.stage] = point.windows
    return {**done, **(progress.parts or {progress.stage: progress.windows})}


def drawn_by(record: TrialRecord, windows: Mapping[str, float]) -> Point:
    """A place on the course of a trial, with what was really drawn in its first stage, where that is known."""
    stage = next(iter(record.plan.stages.values()), None)
    shares = {name: source.share_windows for name, source in stage.sources.items()} if stage is not None else None
    return Point(params=record.params, ratio=record.plan.ratio_realised, shares=shares or None, windows=windows)


def learned_from(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that have a place in the space."""
    return [record for record in records if record.kind != NO_INTERMEDIATE and record.params]


def observations(
    records: Sequence[TrialRecord],
    targets: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Observations:
    """The points of trials.

    Args:
        targets: weight in the primary score of each target, by name.
        weights: of languages in the primary score; none: the same for all.
    """
    pairs = [
        (record, point) for record in learned_from(records) if record.state is not State.FAIL for point in record.scored
    ]
    if len(pairs) > MAX_POINTS:
        pairs = [pairs[k] for k in _chosen(pairs)]
    names, shares, scores = _outputs([point.scores for _, point in pairs], _Makeup(targets or {}, weights or {}))
    return Observations(
        points=[drawn_by(record, windows_at(record, point)) for record, point in pairs],
        trials=np.array([record.number for record, _ in pairs], dtype=np.intp),
        costs=np.array([point.cost for _, point in pairs], dtype=float),
        scores=scores,
        names=names,
        weights=shares,
    )


def names_languages(records: Sequence[TrialRecord], weights: Mapping[str, float] | None = None) -> bool:
    """Whether a model learns each language by itself; True where there is none to learn.

    Args:
        weights: of languages in the primary score; none: the same for all.
    """
    points = [point for record in records for point in record.scored]
    languages = set.intersection(*(set(languages_of(point.scores, "score/")) for point in points)) if points else set()
    return not languages or _outputs([point.scores for point in points], _Makeup({}, weights or {}))[0] != (
        PRIMARY_SCORE,
    )


def _chosen(pairs: Sequence[tuple[TrialRecord, Progress]]) -> list[int]:
    """Which points a model is made of, where there are too many."""
    ends = [k for k, (record, point) in enumerate(pairs) if point is record.scored[-1]]
    best = sorted(ends, key=lambda k: (-pairs[k][1].primary_score, pairs[k][0].number))[: MAX_POINTS // 2]
    is_end = set(ends)
    latest = sorted(range(len(pairs)), key=lambda k: (k not in is_end, -pairs[k][0].number))
    return sorted(list(dict.fromkeys([*best, *latest]))[:MAX_POINTS])


@dataclass(frozen=True, slots=True)
class _Makeup:
    """What the primary score is the weighted mean of: targets, or languages, which weigh the same where nothing is said."""

    targets: Mapping[str, float]
    languages: Mapping[str, float]


def _outputs(points: Sequence[Mapping[str, float]], makeup: _Makeup) -> tuple[tuple[str, ...], Array, Array]:
    """Names, weights and scores of what makes up the primary score: languages, else targets, else the primary score alone."""
    primary_score = np.array([point[PRIMARY_SCORE] for point in points])
    languages = set.intersection(*(set(languages_of(point, "score/")) for point in points)) if points else set()
    by_language = makeup.languages or dict.fromkeys(languages, 1.0)
    keys = {
        tuple(f"score/{language}" for language in sorted(languages)): [
            by_language.get(language, 0.0) for language in sorted(languages)
        ],
        tuple(f"{target}/mean" for target in makeup.targets): [*makeup.targets.values()],
    }
    for names, given in keys.items():
        if names and all(name in point for point in points for name in names):
            scores, weights = np.array([[point[name] for name in names] for point in points]), np.array(given)
            if weights.sum() > 0 and np.allclose(scores @ (weights / weights.sum()), primary_score, atol=CLOSE):
                return names, weights / weights.sum(), scores
    return (PRIMARY_SCORE,), np.ones(1), primary_score[:, None]
