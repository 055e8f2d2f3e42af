"""Selection of the trials to train again with fresh seeds, and the results of their replicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from pandas import DataFrame


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
    baseline_keys = {_training_key(record) for record in baselines(view)}
    first_by_key: dict[str, TrialRecord] = {}
    for record in ranked:
        first_by_key.setdefault(_training_key(record), record)
    return [record for key, record in first_by_key.items() if key not in baseline_keys][:top]


def _training_key(record: TrialRecord) -> str:
    """Return the parameters and window counts: ratios of .0001 and 0 train on the same windows in a short stage."""
    windows = {name: {k: s.windows for k, s in stage.sources.items()} for name, stage in record.plan.stages.items()}
    mixture = ("ratio", "shares") if windows else ()
    other_params = {key: value for key, value in sorted(record.params.items()) if key not in mixture}
    return repr((other_params, windows))


def extreme(view: StudyView) -> TrialRecord | None:
    """Return the completed trial farthest from the baselines in the space, or None if only baselines are complete."""
    space = view.space
    points = [space.encode(r.params) for r in baselines(view) if NO_INTERMEDIATE_PARAM not in r.params]
    sampled = [r for r in view.records if not r.is_baseline and r.state is State.COMPLETE and r.params]
    if not sampled or not points:
        return sampled[0] if sampled else None

    def distance(record: TrialRecord) -> float:
        point = space.encode(record.params)
        return min(sum((value - other.get(key, value)) ** 2 for key, value in point.items()) for other in points)

    return max(sampled, key=lambda record: (distance(record), -record.number))


Array = NDArray[np.float64]
VALIDATION, TEST = "", "test/"
"""Key prefixes of the scores of an evaluation split."""

CLOSE = 1e-6
"""Tolerance for equality of two scores."""

DRAWS = 1000
"""Bootstrap draws over passages."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration of the search with its replicates.

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
        requested: Trial numbers of the requested configurations.
        configurations: The configurations with at least two completed runs.
        seeds: The seeds that every configuration has completed.
        dropped: Labels of the dropped configurations.
        missing: Number of runs that are not complete.
        failed: Number of missing runs that ended in an error.
    """

    def __init__(
        self, search: StudyView, again: StudyView, of: Sequence[int], seeds: tuple[int, ...], folder: RunFolder
    ) -> None:
        self.search, self.again, self._store = search, again, ItemStore(folder.items)
        self.requested = tuple(of)
        runs: dict[int, dict[int, TrialRecord]] = {number: {} for number in of}
        requested = [record for record in again.records if record.replicate_of in runs and record.seed in seeds]
        for record in requested:
            if record.state is State.COMPLETE and record.replicate_of is not None and record.seed is not None:
                runs[record.replicate_of][record.seed] = record
        replicated = [number for number in of if len(runs[number]) > 1]
        self.seeds = tuple(seed for seed in seeds if replicated and all(seed in runs[n] for n in replicated))
        labels = {number: label(search.trial(number), search.about.reference) for number in of}
        self.configurations = [Configuration(search.trial(n), runs[n], labels[n]) for n in replicated]
        self.dropped = tuple(labels[number] for number in of if number not in replicated)
        self.missing = len(of) * len(seeds) - sum(map(len, runs.values()))
        complete = {(number, seed) for number, of_number in runs.items() for seed in of_number}
        self.failed = sum(r.state is State.FAIL and (r.replicate_of, r.seed) not in complete for r in requested)

    @cached_property
    def split(self) -> str:
        """Key prefix of `test` scores, or of `validation` scores if the objective reports no `test` scores."""
        last = [record.curve[-1].scores for member in self.configurations for record in member.runs.values()]
        keys = [key_of(self.search, part, TEST) for part in self.parts]
        return TEST if last and all(key in scores for scores in last for key in keys) else VALIDATION

    @property
    def split_name(self) -> str:
        """Name of the evaluation split of `split`."""
        return self.split.rstrip("/") or "validation"

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
        """Return the final score of each part in each run [configurations, seeds, parts]."""
        keys = [key_of(self.search, part, split) for part in self.parts]
        runs = [[member.runs[seed].curve[-1].scores for seed in self.seeds] for member in self.configurations]
        return np.array([[[scores[key] for key in keys] for scores in by_seed] for by_seed in runs])

    @cached_property
    def items(self) -> Items | None:
        """Sums of the primary measures by passage; None if a run has no stored items, as with a custom objective."""
        tables = []
        for record in (member.runs[seed] for member in self.configurations for seed in self.seeds):
            names = record.curve[-1].item_names
            if not names or not all(map(self._store.has, names)):
                return None
            tables.append(self._sums(sorted(names)))
        if not tables or tables[0].empty or not all(table.index.equals(tables[0].index) for table in tables):
            return None
        targets, languages, groups = (tables[0].index.get_level_values(k).to_numpy() for k in range(3))
        shape = (len(self.configurations), len(self.seeds), len(groups))
        return Items(
            np.stack([table["numerator"].to_numpy(float) for table in tables]).reshape(shape),
            np.stack([table["denominator"].to_numpy(float) for table in tables]).reshape(shape),
            np.array([self.parts.index(part) for part in zip(targets, languages, strict=True)]),
            np.unique(groups, return_inverse=True)[1],
        )

    @cached_property
    def resampled(self) -> Array | None:
        """Scores over bootstrap samples of passages [draws, configurations, seeds, parts]."""
        return None if self.items is None else self.items.resampled(DRAWS)

    @property
    def num_groups(self) -> int:
        """Number of passages; 0 without items."""
        return 0 if self.items is None else self.items.num_groups

    def _sums(self, names: Sequence[str]) -> DataFrame:
        """Return numerator and denominator of one run by target, language and passage."""
        from pandas import concat

        table: DataFrame = concat([self._store.read(name).to_pandas() for name in names])
        target = table["target"].astype(str)
        table = table.assign(target=target if len(self.search.about.targets) > 1 else "")
        is_primary = table["measure"].astype(str) == target.map(self.again.about.primaries.get)
        selected = table.loc[is_primary & (table["split"] == self.split_name)]
        keys = [selected[key].astype(str) for key in ("target", "language", "group")]
        sums = selected[["numerator", "denominator"]].groupby(keys).sum()
        return sums.loc[sums.index.droplevel("group").isin(self.parts)]
