"""The `mixture` sampler: propose the trial with the largest expected gain of the anytime front per cost.

The first trials are a space-filling design. After that, the response model is fitted to every point of every curve,
including pruned and running trials. Of many candidates, the sampler proposes the one whose curve is expected to add the
most area to the front of posterior means, divided by the cost that is still to be paid. Stored stages cost nothing
again, so a good mixture is also tried at other numbers of steps if that is worth its cost. Hyperparameters are fitted
at fixed numbers of trials, and all random numbers depend on (seed, trial number) only: with one worker, a resumed study
makes the same proposals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.extensions import Options
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.core.yaml import check_options
from ratio_hpo.samplers.base import SamplerContext
from ratio_hpo.space import Steps
from ratio_hpo.surrogate.acquisition import even, many
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.study_model import StudyModel
from ratio_hpo.surrogate.trials import Trials
from ratio_hpo.surrogate.warm_start import beliefs

Array = NDArray[np.float64]

MIN_DESIGN, MAX_DESIGN = 5, 10
"""Limits on the number of trials before the model is used, which is one more than the dimensions of the space."""

SPREAD, FARTHEST = 256, 60
"""Number of candidates for the next trial of the design, and number of the farthest ones: half of the time the farthest
candidate from all trials is proposed, half of the time any of these."""

WIDE, NEAR, REFINED, BEST = 240, 120, 60, 6
"""Number of candidates over the whole space, near the best trials, and in each of two refinements; number of the best
trials or candidates to sample near."""

RANKED = 200
"""Number of the best candidates that are searched for one that was not tried yet."""

SAME, EQUAL = 0.5, 1e-9
"""Differences in windows of a source, and in another parameter, below which two trials are the same."""

OPTIONS = ("warm_start", "prior")
"""Options for priors: see `warm_start.py`."""


def make_mixture(name: str, options: Options, context: SamplerContext) -> MixtureProposals:
    """Return the sampler of a study."""
    check_options(f"sampler: {name}", options, OPTIONS)
    response = context.response
    if options:  # reports use a model without priors
        response = context.new_response()
        response.priors += beliefs(response, context.study, options, context.known)
    return MixtureProposals(response, seed=context.seed)


class MixtureProposals:
    """Proposes trials for the `mixture` sampler.

    Args:
        response: builds the response model, with its priors.
        seed: seed of the proposals.
    """

    def __init__(self, response: Response, *, seed: int) -> None:
        self._response, self._space, self._seed = response, response.space, seed
        dimensions = sum(domain.dimensions for domain in self._space.parameters.values())
        self._design = min(max(dimensions + 1, MIN_DESIGN), MAX_DESIGN)

    def propose(self, trials: Trials, number: int) -> Params:
        rng = np.random.default_rng(integer_hash("mixture", self._seed, number))
        records = trials.records[:number]
        if len(self._response.ended(records)) < self._design:
            return self._design_point(records, rng)
        return self._best_candidate(self._response.model(records), reuses=trials.reuses, rng=rng)

    def _design_point(self, records: Sequence[TrialRecord], rng: np.random.Generator) -> Params:
        """Return a candidate far from all trials; with priors, alternate with the best candidate of the priors."""
        candidates = even(self._space, rng, SPREAD)
        learned = self._response.learned(records)
        if self._response.priors and sum(not record.is_baseline for record in learned) % 2 == 0:
            table = self._response.ends(candidates)
            order = np.argsort(-sum(prior(table) for prior in self._response.priors), kind="stable")
            ranked = [candidates[k] for k in order]
            return ranked[int(self._is_new(ranked, [record.params for record in learned]).argmax())]
        if not learned:
            return candidates[0]
        ends = self._response.ends([self._project(record.params) for record in learned])
        distances = self._response.ends(candidates).distances(ends).min(1)
        order = np.argsort(-distances, kind="stable")
        return candidates[order[0] if rng.random() < 0.5 else order[rng.integers(FARTHEST)]]

    def _best_candidate(self, model: StudyModel, *, reuses: bool, rng: np.random.Generator) -> Params:
        """Return the new candidate with the largest expected gain per cost."""
        leading = [self._project(params) for params in model.leading(BEST)]
        candidates = [
            *many(self._space, rng, WIDE),
            *many(self._space, rng, NEAR, leading),
            *self._step_sweeps(leading, model),
        ]
        gain_per_cost = model.gain_per_cost(candidates, reuses=reuses)
        for _ in range(2):
            best = [candidates[k] for k in np.argsort(-gain_per_cost, kind="stable")[:BEST]]
            more = [*many(self._space, rng, REFINED, best), *self._step_sweeps(best, model)]
            candidates += more
            gain_per_cost = np.concatenate([gain_per_cost, model.gain_per_cost(more, reuses=reuses)])
        ranked = [candidates[k] for k in np.argsort(-gain_per_cost, kind="stable")[:RANKED]]
        return ranked[int(self._is_new(ranked, model.tried).argmax())]

    def _is_new(self, candidates: Sequence[Params], tried: Sequence[Params]) -> NDArray[np.bool_]:
        """Return which candidates are new; a candidate with the same windows and settings as a trial is not.

        Different parameters may give the same windows, such as ratios of 0 and 0.0001.
        """
        if not tried:
            return np.ones(len(candidates), dtype=bool)
        new, old = self._response.ends(candidates), self._response.ends([self._project(params) for params in tried])
        longest = np.array([self._response.planned_curves.of(params).windows[-1].max() for params in candidates])
        windows = np.abs(new.shares[:, None] - old.shares[None]).max(axis=2, initial=0.0) * longest[:, None]
        others = np.abs(new.others[:, None] - old.others[None]).max(axis=2, initial=0.0)
        is_new: NDArray[np.bool_] = ~((windows < SAME) & (others < EQUAL)).any(axis=1)
        return is_new

    def _step_sweeps(self, candidates: Sequence[Params], model: StudyModel) -> list[Params]:
        """Return the candidates at all other numbers of steps that were not tried."""
        sweeps = []
        for params in candidates:
            for name, domain in self._space.parameters.items():
                if isinstance(domain, Steps):
                    others = [{**params, name: domain.decode(((k + 0.5) / len(domain.values),))}
                              for k in range(len(domain.values))]  # fmt: skip
                    sweeps += [other for other in others if not model.was_tried(other)]
        return sweeps

    def _project(self, params: Params) -> Params:
        """Return the nearest parameters within the space: a baseline may lie outside."""
        return self._space.decode(self._space.encode(params))
