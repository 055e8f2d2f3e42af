"""The `mixture` sampler: what is expected to widen the anytime front most, for what it costs to find out.

It begins with a spread design; then the response model is fitted on every point of every curve, stopped and running
trials included. Of many places the one is taken whose curve is expected to add most area to the front of posterior
means, by what is left to pay for it: stages that are stored cost nothing again, so that a good mixture is tried at
other numbers of steps where that is worth it. Hyperparameters are fitted at fixed numbers of trials, and all draws are
made of (seed, number): with one worker a continued study proposes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.space import Steps
from ratio_hpo.study.response import Response
from ratio_hpo.study.samplers import Coordinates, fixed_values
from ratio_hpo.study.study_model import StudyModel
from ratio_hpo.surrogate.candidates import even, many

Array = NDArray[np.float64]

MIN_DESIGN, MAX_DESIGN = 5, 10
"""Trials before the model is asked: one more than the space has dimensions, within these."""

SPREAD, FARTHEST = 256, 60
"""Places of which the next one of the design is taken: half of the time the farthest from all others, half of the time
any of the farthest."""

WIDE, NEAR, REFINED, BEST = 240, 120, 60, 6
"""Places that are drawn over the space, around the best trials, and in each of two refinements, around so many."""

RANKED = 200
"""Places that are looked through for one that no trial has come to."""

SAME, EQUAL = 0.5, 1e-9
"""Windows of a source, and distance of another parameter, below which two trials are the same."""


OPTIONS = ("warm_start", "prior")
"""What is believed beforehand: see `prior.py`."""


class Watched(Protocol):
    """What the sampler looks at: `StudyState` has it."""

    records: list[TrialRecord]

    @property
    def reuses(self) -> bool: ...


class MixtureProposals:
    """The sampler.

    Args:
        response: what the study's model is made by, with what is believed beforehand.
    """

    needs_trial = False

    def __init__(self, response: Response, *, seed: int) -> None:
        self._response, self._space, self._seed = response, response.space, seed
        dimensions = sum(domain.dimensions for domain in self._space.parameters.values())
        self._design = min(max(dimensions + 1, MIN_DESIGN), MAX_DESIGN)

    def propose(self, view: Watched, number: int) -> Coordinates:
        rng = np.random.default_rng(integer_hash("mixture", self._seed, number))
        records = view.records[:number]
        if len(self._response.ended(records)) < self._design:
            chosen = self._spread(records, rng)
        else:
            chosen = self._best(self._response.model(records), reuses=view.reuses, rng=rng)
        return fixed_values(self._space, chosen)

    def exhausted(self, view: Watched) -> bool:
        return False

    def _spread(self, records: Sequence[TrialRecord], rng: np.random.Generator) -> Params:
        """A place far from all others; where something is believed, the best by it and a far one take turns."""
        places = even(self._space, rng, SPREAD)
        known = self._response.learned(records)
        if self._response.priors and sum(not record.is_baseline for record in known) % 2 == 0:
            table = self._response.ends(places)
            ranked = np.argsort(-sum(prior(table) for prior in self._response.priors), kind="stable")
            best = [places[k] for k in ranked]
            return best[int(self._is_new(best, [record.params for record in known]).argmax())]
        if not known:
            return places[0]
        ends = self._response.ends([self._inside(record.params) for record in known])
        away = self._response.ends(places).distances(ends).min(1)
        order = np.argsort(-away, kind="stable")
        return places[order[0] if rng.random() < 0.5 else order[rng.integers(FARTHEST)]]

    def _best(self, model: StudyModel, *, reuses: bool, rng: np.random.Generator) -> Params:
        """The place with the largest expected gain by what is left to pay."""
        leading = [self._inside(params) for params in model.leading(BEST)]
        places = [
            *many(self._space, rng, WIDE),
            *many(self._space, rng, NEAR, leading),
            *self._step_sweeps(leading, model),
        ]
        gain_per_cost = model.gain_per_cost(places, reuses=reuses)
        for _ in range(2):
            best = [places[k] for k in np.argsort(-gain_per_cost, kind="stable")[:BEST]]
            more = [*many(self._space, rng, REFINED, best), *self._step_sweeps(best, model)]
            places += more
            gain_per_cost = np.concatenate([gain_per_cost, model.gain_per_cost(more, reuses=reuses)])
        ranked = [places[k] for k in np.argsort(-gain_per_cost, kind="stable")[:RANKED]]
        return ranked[int(self._is_new(ranked, model.tried).argmax())]

    def _is_new(self, places: Sequence[Params], tried: Sequence[Params]) -> NDArray[np.bool_]:
        """Whether no trial draws the same windows under the same settings, as ratios of 0 and .0001 may do."""
        if not tried:
            return np.ones(len(places), dtype=bool)
        here, there = self._response.ends(places), self._response.ends([self._inside(params) for params in tried])
        longest = np.array([self._response.courses.of(place).windows[-1].max() for place in places])
        shares = np.abs(here.shares[:, None] - there.shares[None]).max(axis=2, initial=0.0) * longest[:, None]
        others = np.abs(here.others[:, None] - there.others[None]).max(axis=2, initial=0.0)
        new: NDArray[np.bool_] = ~((shares < SAME) & (others < EQUAL)).any(axis=1)
        return new

    def _step_sweeps(self, places: Sequence[Params], model: StudyModel) -> list[Params]:
        """The same places at all other numbers of steps that were not tried."""
        found = []
        for place in places:
            for name, domain in self._space.parameters.items():
                if isinstance(domain, Steps):
                    others = [{**place, name: domain.decode(((k + 0.5) / len(domain.values),))}
                              for k in range(len(domain.values))]  # fmt: skip
                    found += [other for other in others if not model.was_tried(other)]
        return found

    def _inside(self, params: Params) -> Params:
        """Parameters of a trial as the nearest that the space holds: a baseline may lie outside."""
        return self._space.decode(self._space.encode(params))
