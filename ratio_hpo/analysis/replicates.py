"""Selection of the trials to confirm, and of the trial farthest from the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.analysis.mixtures import label
from ratio_hpo.analysis.recommend import advice_of
from ratio_hpo.analysis.score_parts import Part, key_of, parts_of, weights_of
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.trial import NO_INTERMEDIATE_PARAM, State, TrialRecord
from ratio_hpo.metrics.front import front
from ratio_hpo.metrics.paired import Items
from ratio_hpo.study.snapshot import StudyView, response_of
from ratio_hpo.training.items import ItemStore


def baselines(view: StudyView) -> list[TrialRecord]:
    """Return the completed baselines."""
    return [record for record in view.records if record.is_baseline and record.state is State.COMPLETE]


def finalists(view: StudyView, top: int) -> list[TrialRecord]:
    """Return the trials to confirm in addition to the baselines: trials on the front first, then by predicted score.

    The predicted score is the posterior mean of the response model, or the last score before the model is fitted. A
    pruned trial on the front can be a finalist; `confirm` then trains it to its end. Trials with identical training
    count once.

    Raises:
        StudyError: If no trial is complete.
    """
    if not any(record.state is State.COMPLETE for record in view.records):
        raise StudyError(f"study {view.name} has no COMPLETE trial to confirm; continue its search")
    candidates = [
        r for r in view.records if not r.is_baseline and r.scored and r.state in (State.COMPLETE, State.PRUNED)
    ]
    advice = advice_of(view)
    if advice is None:
        predicted = {record.number: record.scored[-1].primary_score for record in candidates}
        on_front = {member.trial.number for member in front(view.records)}
    else:
        predictions = response_of(view).model(view.records).finals()
        predicted = {number: mean for number, (mean, _) in predictions.items()}
        on_front = {member.trial for member in advice.front} | {advice.trial}
    ranked = sorted(
        (record for record in candidates if record.number in predicted),
        key=lambda record: (record.number not in on_front, -predicted[record.number], record.number),
    )
    selected_keys = {_training_key(record) for record in baselines(view)}
    selected: list[TrialRecord] = []
    for record in ranked:
        if len(selected) < top and _training_key(record) not in selected_keys:
            selected_keys.add(_training_key(record))
            selected.append(record)
    return selected


def _training_key(record: TrialRecord) -> str:
    """Return the parameters and window counts: ratios of .0001 and 0 train on the same windows in a short stage."""
    windows = {name: {k: s.windows for k, s in stage.sources.items()} for name, stage in record.plan.stages.items()}
    mixture = ("ratio", "shares") if windows else ()
    other_params = {key: value for key, value in sorted(record.params.items()) if key not in mixture}
    return repr((other_params, windows))


def extreme(view: StudyView) -> TrialRecord | None:
    """Return the completed trial farthest from the baselines in the space, or None if only baselines are complete."""
    space, completed_baselines = (
        view.space,
        [record for record in baselines(view) if NO_INTERMEDIATE_PARAM not in record.params],
    )
    sampled = [r for r in view.records if not r.is_baseline and r.state is State.COMPLETE and r.params]
    if not sampled or not completed_baselines:
        return sampled[0] if sampled else None
    baseline_points = [space.encode(record.params) for record in completed_baselines]

    def distance(record: TrialRecord) -> float:
        point = space.encode(record.params)
        return min(
            sum((point[key] - baseline.get(key, point[key])) ** 2 for key in point) for baseline in baseline_points
        )

    return max(sampled, key=lambda record: (distance(record), -record.number))


Array = NDArray[np.float64]
VALIDATION, TEST = "", "test/"
"""Key prefixes of the scores of an evaluation split."""

CLOSE = 1e-6
"""Tolerance for equality of two scores."""

DRAWS = 1000
"""Bootstrap draws over passages."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A configuration with its replicates.

    Attributes:
        trial: The trial of the search.
        runs: Completed replicates by seed.
        label: Label for readers.
    """

    trial: TrialRecord
    runs: Mapping[int, TrialRecord]
    label: str

    @property
    def cost(self) -> float:
        """Attributed cost of one complete run."""
        return next(iter(self.runs.values())).curve[-1].cost


class Replicates:
    """The replicates of selected trials of a search.

    Args:
        search: The study with the original trials.
        again: The study with their replicates.
        of: Trial numbers of the configurations, in this order; a configuration with fewer than two completed runs is
            dropped.
        seeds: The seeds to read.
        folder: The run folder with the stored item scores.

    Attributes:
        seeds: The seeds that every entrant has completed.
        dropped: Labels of the dropped configurations.
        missing: Number of runs that are not complete.
        failed: Number of missing runs that ended in an error.
    """

    def __init__(
        self, search: StudyView, again: StudyView, of: Sequence[int], seeds: Sequence[int], folder: RunFolder
    ) -> None:
        self.search, self.again, self._folder = search, again, folder
        runs: dict[int, dict[int, TrialRecord]] = {number: {} for number in of}
        for record in again.records:
            original, seed = record.replicate_of, record.seed
            if original is None or seed is None:
                continue
            if record.state is State.COMPLETE and original in runs and seed in seeds:
                runs[original][seed] = record
        replicated = [number for number in of if len(runs[number]) > 1]
        self.seeds = [seed for seed in seeds if replicated and all(seed in runs[number] for number in replicated)]
        reference = search.about.reference
        self.entrants = [Entrant(search.trial(n), runs[n], label(search.trial(n), reference)) for n in replicated]
        self.dropped = [label(search.trial(number), reference) for number in of if number not in replicated]
        self.missing = len(of) * len(seeds) - sum(len(runs[number]) for number in of)
        failures = [r for r in again.records if r.state is State.FAIL and r.replicate_of in runs and r.seed in seeds]
        self.failed = sum(r.seed not in runs[r.replicate_of] for r in failures if r.replicate_of is not None)

    @cached_property
    def split(self) -> str:
        """Key prefix of `test` scores, or of `validation` scores if the objective reports no `test` scores."""
        last = [record.curve[-1].scores for entrant in self.entrants for record in entrant.runs.values()]
        keys = [key_of(self.search, part, TEST) for part in self.parts]
        return TEST if last and all(key in scores for scores in last for key in keys) else VALIDATION

    @cached_property
    def parts(self) -> list[Part]:
        """The parts that the primary score averages; one nameless part if it is no mean over languages."""
        parts, weights = parts_of(self.search), weights_of(self.search)
        for record in self.search.records:
            for point in record.scored[-1:]:
                scores = [point.scores.get(key_of(self.search, part)) for part in parts]
                scored = [value for value in scores if value is not None]
                if len(scored) < len(parts) or abs(float(np.dot(scored, weights)) - point.primary_score) > CLOSE:
                    return [("", "")]
        return parts

    @cached_property
    def weights(self) -> Array:
        """Weights of the parts in the primary score [parts]."""
        return np.array([1.0] if self.parts == [("", "")] else weights_of(self.search))

    def scores(self, split: str) -> Array:
        """Return the final score of each part in each run [entrants, seeds, parts]."""
        return np.array(
            [
                [[self._last(k, seed)[key_of(self.search, part, split)] for part in self.parts] for seed in self.seeds]
                for k in range(len(self.entrants))
            ]
        )

    @cached_property
    def items(self) -> Items | None:
        """Sums of the primary measures by passage; None if a run has no stored items, as with a custom objective."""
        store, rows = ItemStore(self._folder.items), []
        for k in range(len(self.entrants)):
            for seed in self.seeds:
                point = self.entrants[k].runs[seed].curve[-1]
                names = {"": point.items} if not point.item_files else dict(point.item_files)
                if any(name is None or not store.has(name) for name in names.values()):
                    return None
                rows.append(self._sums(store, [name for name in names.values() if name is not None]))
        if not rows or not rows[0] or any(set(row) != set(rows[0]) for row in rows):
            return None
        keys = sorted(rows[0])
        part_indices = {part: k for k, part in enumerate(self.parts)}
        passage_indices = {group: k for k, group in enumerate(sorted({group for _, group in keys}))}
        shape = (len(self.entrants), len(self.seeds), len(keys))
        numerators, denominators = (
            np.array([[row[key][k] for key in keys] for row in rows]).reshape(shape) for k in (0, 1)
        )
        return Items(
            numerators,
            denominators,
            np.array([part_indices[part] for part, _ in keys]),
            np.array([passage_indices[g] for _, g in keys]),
        )

    @cached_property
    def resampled(self) -> Array | None:
        """Scores over bootstrap samples of passages [draws, entrants, seeds, parts]."""
        return None if self.items is None else self.items.resampled(DRAWS)

    @property
    def num_groups(self) -> int:
        """Number of passages; 0 without items."""
        return 0 if self.items is None else self.items.num_groups

    def _sums(self, store: ItemStore, names: Sequence[str]) -> dict[tuple[Part, str], tuple[float, float]]:
        """Return numerator and denominator of one run by part and passage."""
        sums: dict[tuple[Part, str], tuple[float, float]] = {}
        has_targets, primaries = len(self.search.about.targets) > 1, self.again.about.primaries
        parts = set(self.parts)
        for name in dict.fromkeys(names):
            table = store.read(name).to_pandas()
            table = table[table["split"] == (self.split.rstrip("/") or "validation")]
            table = table[table["measure"].astype(str) == table["target"].astype(str).map(primaries)]
            groups = table.groupby(["target", "language", "group"], observed=True)[["numerator", "denominator"]].sum()
            for (target, language, group), row in zip(groups.index, groups.to_numpy(), strict=True):
                part = (str(target) if has_targets else "", str(language))
                if part in parts:
                    sums[part, str(group)] = (float(row[0]), float(row[1]))
        return sums

    def _last(self, entrant: int, seed: int) -> Mapping[str, float]:
        return self.entrants[entrant].runs[seed].curve[-1].scores
