"""Samplers that fit a mixing law: RegMix and sequential Olmix; all other parameters are sampled at random.

RegMix (Liu et al. 2024, arXiv 2407.01492) regresses the score on the shares, simulates many mixtures, and proposes the
mean of the best ones. Olmix (Chen et al. 2026, arXiv 2602.12237) fits a log-linear mixing law (Ye et al. 2024, arXiv
2403.16952) to each domain (here: each language) and proposes the mixture with the lowest mean error over the domains;
it fits again as trials end. Both start with mixtures from Dirichlet distributions around the sizes of the sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.extensions import Options
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.core.yaml import check_options
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.samplers.base import SamplerContext
from ratio_hpo.samplers.baseline_mixtures import check_mixture, mixture_params
from ratio_hpo.surrogate.acquisition import drawn
from ratio_hpo.surrogate.features import OTHERS
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.trials import Trials

Array = NDArray[np.float64]

SIMULATED, TAKEN = 5000, 50
"""Number of mixtures that RegMix simulates, and number of the best ones that it averages."""

CONCENTRATIONS = (0.1, 5.0)
"""Range of the log-uniform concentration of the Dirichlet distributions (RegMix scales the sizes by such factors)."""

RIDGE = 1e-2
MIN_ERROR = 1e-3


def make_law(name: str, options: Options, context: SamplerContext) -> LawSampler:
    """Return the sampler of a study."""
    return LawSampler(name, options, context.response, sources=context.sources, seed=context.seed)


class LawSampler:
    """A sampler that fits a mixing law.

    Args:
        name: `regmix` or `olmix`.
        options: `design`, the number of trials before the mixing law is fitted (default: one more than there are
            sources, at least 6); for `regmix` also `model`: `linear`, or `lightgbm` if that package is installed.
        response: provides the ended trials and their features.
        sources: sizes of the sources of the first stage, by name; sources that the space does not name are ignored.
        seed: seed of the proposals.

    Raises:
        ConfigError: an option is unknown or invalid, or the space has no mixture.
    """

    def __init__(
        self, name: str, options: Options, response: Response, *, sources: Mapping[str, SourceSize], seed: int
    ) -> None:
        check_options(f"sampler: {name}", options, ["design", "model"] if name == "regmix" else ["design"])
        check_mixture(response.space, name)
        self._name, self._response, self._space, self._seed = name, response, response.space, seed
        self._design = options.get("design", max(len(self._response.features.parts) + 1, 6))
        if not isinstance(self._design, int) or isinstance(self._design, bool) or self._design < 2:
            raise ConfigError(f"sampler: {name}: design must be a whole number >= 2, but got {self._design!r}")
        self._model = options.get("model", "linear")
        if self._model not in ("linear", "lightgbm"):
            raise ConfigError(f"sampler: regmix: unknown model {self._model!r}; use linear or lightgbm")
        if self._model == "lightgbm":
            _lightgbm()
        self._sizes = {key: float(size.windows) for key, size in sources.items() if not size.auxiliary}

    def propose(self, trials: Trials, number: int) -> Params:
        rng = np.random.default_rng(integer_hash(self._name, self._seed, number))
        records = self._response.ended(trials.records[:number])
        if len(records) < self._design:
            shares = self._simulate(rng, 1)[0]
        else:
            shares = self._best_mixture(records, rng)
        named = dict(zip(self._response.features.parts, shares.tolist(), strict=True))
        mixture = mixture_params(self._space, named, named.get(OTHERS, 0.0))
        return {**drawn(self._space, rng), **mixture}

    def _best_mixture(self, records: Sequence[TrialRecord], rng: np.random.Generator) -> Array:
        """Return the mixture that the mixing law predicts to be best."""
        observations = self._response.observations(records)
        last_index = {trial: k for k, trial in enumerate(observations.trials.tolist())}
        ends = np.array(list(last_index.values()), dtype=np.intp)
        table = self._response.features.table([observations.points[k] for k in ends])
        scores, weights = observations.scores[ends], observations.weights
        mixtures = self._simulate(rng, SIMULATED)
        if self._name == "olmix":
            errors = np.log(np.maximum(1.0 - scores, MIN_ERROR))
            expected = -np.exp(_linear(table.shares, table.others, errors, mixtures)) @ weights
            best: Array = mixtures[expected.argmax()]
            return best
        primary_score = scores @ weights
        if self._model == "lightgbm":
            model = _lightgbm().LGBMRegressor(n_estimators=200, min_child_samples=2, num_leaves=8, verbose=-1, n_jobs=1)
            model.fit(table.shares, primary_score)
            expected = np.asarray(model.predict(mixtures), dtype=float)
        else:
            expected = _linear(table.shares, table.others, primary_score[:, None], mixtures)[:, 0]
        mean_of_best: Array = mixtures[np.argsort(-expected, kind="stable")[:TAKEN]].mean(0)
        return mean_of_best

    def _simulate(self, rng: np.random.Generator, count: int) -> Array:
        """Sample mixtures from Dirichlet distributions around the sizes of the sources."""
        names = self._response.features.parts
        sizes = np.array([self._sizes.get(name, 0.0) for name in names])
        natural = sizes / sizes.sum() if sizes.all() else np.full(len(names), 1.0 / len(names))
        concentrations = np.exp(rng.uniform(*np.log(CONCENTRATIONS), size=count))
        weights = np.maximum(natural[None] * concentrations[:, None] * len(names), 1e-3)
        gammas = rng.standard_gamma(weights) + 1e-300
        shares: Array = gammas / gammas.sum(1, keepdims=True)
        return shares


def _linear(shares: Array, others: Array, outputs: Array, mixtures: Array) -> Array:
    """Predict the outputs [n, m] of mixtures by ridge regression on shares and other parameters.

    The other parameters of the mixtures are set to their means over the observations.
    """
    mean_shares, mean_others, mean_outputs = shares.mean(0), others.mean(0), outputs.mean(0)
    columns = np.concatenate([shares - mean_shares, others - mean_others], axis=1)
    gram = columns.T @ columns + RIDGE * np.eye(columns.shape[1])
    slopes = np.linalg.solve(gram, columns.T @ (outputs - mean_outputs))
    expected: Array = mean_outputs + (mixtures - mean_shares) @ slopes[: shares.shape[1]]
    return expected


def _lightgbm() -> Any:
    if find_spec("lightgbm") is None:
        raise ConfigError(
            "sampler: regmix: model lightgbm needs the package lightgbm; install it, or use model: linear"
        )
    return import_module("lightgbm")
