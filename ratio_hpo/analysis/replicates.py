"""Trials that were trained again with fresh seeds: scores by seed and part, and their items by passage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.analysis.names import label
from ratio_hpo.analysis.score_parts import Part, key_of, parts_of, weights_of
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.paired import Items
from ratio_hpo.study.view import StudyView
from ratio_hpo.training.items import ItemStore

Array = NDArray[np.float64]
VALIDATION, TEST = "", "test/"
"""Prefixes of scores."""

CLOSE = 1e-6

DRAWS = 1000
"""Of the bootstrap over passages."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A configuration with what became of it.

    Attributes:
        trial: of the search, as it was there.
        runs: COMPLETE, by seed.
        label: for people.
    """

    trial: TrialRecord
    runs: Mapping[int, TrialRecord]
    label: str

    @property
    def cost(self) -> float:
        """Attributed, of one run to its end."""
        return next(iter(self.runs.values())).curve[-1].cost


class Replicates:
    """What was trained again.

    Args:
        search: the study that the configurations are of.
        again: the study of their replicates.
        of: numbers of the configurations to look at, in this order; those with less than two COMPLETE runs are dropped.
        seeds: that are looked at.

    Attributes:
        seeds: those that every entrant has ended with.
        dropped: labels of the configurations that are left out.
        missing, failed: runs that are not COMPLETE, and those of them that ended in an error.
    """

    def __init__(
        self, search: StudyView, again: StudyView, of: Sequence[int], seeds: Sequence[int], folder: RunFolder
    ) -> None:
        self.search, self.again, self._folder = search, again, folder
        runs: dict[int, dict[int, TrialRecord]] = {number: {} for number in of}
        for record in again.records:
            of_trial, seed = record.replicate_of, record.seed
            if of_trial is None or seed is None:
                continue
            if record.state is State.COMPLETE and of_trial in runs and seed in seeds:
                runs[of_trial][seed] = record
        whole = [number for number in of if len(runs[number]) > 1]
        self.seeds = [seed for seed in seeds if whole and all(seed in runs[number] for number in whole)]
        reference = search.about.reference
        self.entrants = [Entrant(search.trial(n), runs[n], label(search.trial(n), reference)) for n in whole]
        self.dropped = [label(search.trial(number), reference) for number in of if number not in whole]
        self.missing = len(of) * len(seeds) - sum(len(runs[number]) for number in of)
        ended = [r for r in again.records if r.state is State.FAIL and r.replicate_of in runs and r.seed in seeds]
        self.failed = sum(r.seed not in runs[r.replicate_of] for r in ended if r.replicate_of is not None)

    @cached_property
    def split(self) -> str:
        """`test`, or `validation` where the objective yields one score for all."""
        last = [record.curve[-1].scores for entrant in self.entrants for record in entrant.runs.values()]
        keys = [key_of(self.search, part, TEST) for part in self.parts]
        return TEST if last and all(key in scores for scores in last for key in keys) else VALIDATION

    @cached_property
    def parts(self) -> list[Part]:
        """What the primary score is the mean of; an objective whose primary score is none of languages has the primary score alone."""
        parts, weights = parts_of(self.search), weights_of(self.search)
        for record in self.search.records:
            for point in record.scored[-1:]:
                each = [point.scores.get(key_of(self.search, part)) for part in parts]
                known = [value for value in each if value is not None]
                if len(known) < len(parts) or abs(float(np.dot(known, weights)) - point.primary_score) > CLOSE:
                    return [("", "")]
        return parts

    @cached_property
    def weights(self) -> Array:
        """Of each part in the primary score [parts]."""
        return np.array([1.0] if self.parts == [("", "")] else weights_of(self.search))

    def scores(self, split: str) -> Array:
        """Measure of each part at the end of each run [entrants, seeds, parts]."""
        return np.array(
            [
                [[self._last(k, seed)[key_of(self.search, part, split)] for part in self.parts] for seed in self.seeds]
                for k in range(len(self.entrants))
            ]
        )

    @cached_property
    def items(self) -> Items | None:
        """Sums by passage of what is reported; None where an objective of one's own keeps no items."""
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
        order = sorted(rows[0])
        numbers = {part: k for k, part in enumerate(self.parts)}
        passages = {group: k for k, group in enumerate(sorted({group for _, group in order}))}
        shape = (len(self.entrants), len(self.seeds), len(order))
        above, below = (np.array([[row[key][k] for key in order] for row in rows]).reshape(shape) for k in (0, 1))
        return Items(
            above, below, np.array([numbers[part] for part, _ in order]), np.array([passages[g] for _, g in order])
        )

    @cached_property
    def resampled(self) -> Array | None:
        """Measures over passages drawn anew [draws, entrants, seeds, parts]."""
        return None if self.items is None else self.items.resampled(DRAWS)

    @property
    def num_groups(self) -> int:
        return 0 if self.items is None else self.items.num_groups

    def _sums(self, store: ItemStore, names: Sequence[str]) -> dict[tuple[Part, str], tuple[float, float]]:
        """Numerator and denominator by part and passage of one run."""
        found: dict[tuple[Part, str], tuple[float, float]] = {}
        several, primaries = len(self.search.about.targets) > 1, self.again.about.primaries
        for name in dict.fromkeys(names):
            table = store.read(name).to_pandas()
            table = table[table["split"] == (self.split.rstrip("/") or "validation")]
            table = table[table["measure"].astype(str) == table["target"].astype(str).map(primaries)]
            known = set(self.parts)
            sums = table.groupby(["target", "language", "group"], observed=True)[["numerator", "denominator"]].sum()
            for (target, language, group), row in zip(sums.index, sums.to_numpy(), strict=True):
                part = (str(target) if several else "", str(language))
                if part in known:
                    found[part, str(group)] = (float(row[0]), float(row[1]))
        return found

    def _last(self, entrant: int, seed: int) -> Mapping[str, float]:
        return self.entrants[entrant].runs[seed].curve[-1].scores
