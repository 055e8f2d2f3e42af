"""Samplers that fit a law of mixtures: RegMix, and sequential Olmix. What else is searched is drawn at random.

RegMix (Liu et al. 2024, arXiv 2407.01492) regresses the score on shares, and takes the mean of the best of many
mixtures that it simulates. Olmix (Chen et al. 2026, arXiv 2602.12237) fits a log-linear law (Ye et al. 2024, arXiv
2403.16952) to each domain, here each language, and takes the mixture whose mean error over them is least; it is fitted
again as trials end. Both begin with mixtures drawn from Dirichlet laws around the sizes of the sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.config import check_options
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.study.baseline_mixtures import check_mixture, mixture_params
from ratio_hpo.study.response import Response
from ratio_hpo.study.samplers import Coordinates, fixed_values
from ratio_hpo.surrogate.candidates import drawn
from ratio_hpo.surrogate.features import OTHERS

if TYPE_CHECKING:
    from ratio_hpo.study.state import StudyState

Array = NDArray[np.float64]

SIMULATED, TAKEN = 5000, 50
"""Mixtures that RegMix simulates, and the best ones whose mean it takes."""

CONCENTRATIONS = (0.1, 5.0)
"""Of the Dirichlet laws around the sizes, log-uniform (RegMix scales the sizes by factors in this range)."""

RIDGE = 1e-2
MIN_ERROR = 1e-3


class LawSampler:
    """A sampler that fits a law.

    Args:
        name: `regmix` or `olmix`.
        options: `design`, the trials before the law is asked (one more than there are sources, at least 6), and of
            regmix `model`: `linear`, or `lightgbm` where that is installed.
        sources: of the first stage; those that the space has no name for do not matter.

    Raises:
        ConfigError: options that it does not take, or no mixture in the space.
    """

    needs_trial = False

    def __init__(
        self, name: str, options: Mapping[str, Any], response: Response, *, sources: Mapping[str, SourceSize], seed: int
    ) -> None:
        check_options(f"sampler: {name}", options, ["design", "model"] if name == "regmix" else ["design"])
        check_mixture(response.space, name)
        self._name, self._response, self._space, self._seed = name, response, response.space, seed
        self._design = options.get("design", max(len(self._response.features.parts) + 1, 6))
        if not isinstance(self._design, int) or isinstance(self._design, bool) or self._design < 2:
            raise ConfigError(f"sampler: {name}: design needs a whole number from 2 on, but got {self._design!r}")
        self._model = options.get("model", "linear")
        if self._model not in ("linear", "lightgbm"):
            raise ConfigError(f"sampler: regmix: model {self._model!r} is not known; say linear or lightgbm")
        if self._model == "lightgbm":
            _lightgbm()
        self._sizes = {key: float(size.windows) for key, size in sources.items() if not size.auxiliary}

    def propose(self, view: StudyState, number: int) -> Coordinates:
        rng = np.random.default_rng(integer_hash(self._name, self._seed, number))
        records = self._response.ended(view.records[:number])
        if len(records) < self._design:
            shares = self._simulated(rng, 1)[0]
        else:
            shares = self._chosen(records, rng)
        named = dict(zip(self._response.features.parts, shares.tolist(), strict=True))
        mixture = mixture_params(self._space, named, named.get(OTHERS, 0.0))
        return fixed_values(self._space, {**drawn(self._space, rng), **mixture})

    def exhausted(self, view: StudyState) -> bool:
        return False

    def _chosen(self, records: Sequence[TrialRecord], rng: np.random.Generator) -> Array:
        """The mixture that the law says is best."""
        known = self._response.observations(records)
        last = {trial: k for k, trial in enumerate(known.trials.tolist())}
        ends = np.array(list(last.values()), dtype=np.intp)
        table = self._response.features.table([known.points[k] for k in ends])
        scores, weights = known.scores[ends], known.weights
        mixtures = self._simulated(rng, SIMULATED)
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
        middle: Array = mixtures[np.argsort(-expected, kind="stable")[:TAKEN]].mean(0)
        return middle

    def _simulated(self, rng: np.random.Generator, number: int) -> Array:
        names = self._response.features.parts
        sizes = np.array([self._sizes.get(name, 0.0) for name in names])
        natural = sizes / sizes.sum() if sizes.all() else np.full(len(names), 1.0 / len(names))
        reach = np.exp(rng.uniform(*np.log(CONCENTRATIONS), size=number))
        weights = np.maximum(natural[None] * reach[:, None] * len(names), 1e-3)
        drawn_ones = rng.standard_gamma(weights) + 1e-300
        shares: Array = drawn_ones / drawn_ones.sum(1, keepdims=True)
        return shares


def _linear(shares: Array, others: Array, outputs: Array, mixtures: Array) -> Array:
    """Ridge regression on shares, with the other parameters beside them, at mixtures and the mean of those [n, m]."""
    centre, middle, level = shares.mean(0), others.mean(0), outputs.mean(0)
    columns = np.concatenate([shares - centre, others - middle], axis=1)
    inner = columns.T @ columns + RIDGE * np.eye(columns.shape[1])
    slopes = np.linalg.solve(inner, columns.T @ (outputs - level))
    expected: Array = level + (mixtures - centre) @ slopes[: shares.shape[1]]
    return expected


def _lightgbm() -> Any:
    if find_spec("lightgbm") is None:
        raise ConfigError(
            "sampler: regmix: model lightgbm needs the package lightgbm; install it, or say model: linear"
        )
    return import_module("lightgbm")
