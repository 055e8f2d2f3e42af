"""Samplers of baseline mixtures, which follow fixed rules; all other parameters are sampled at random.

Benchmarks compare samplers that learn with these rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.extensions import Options
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Params
from ratio_hpo.core.yaml import check_options
from ratio_hpo.data.mixing import SPREADS, SourceSize, window_ratio
from ratio_hpo.samplers.base import SamplerContext
from ratio_hpo.space import Space
from ratio_hpo.surrogate.acquisition import even
from ratio_hpo.surrogate.trials import Trials

Shares = dict[str, float]
Sizes = Mapping[str, SourceSize]
Rule = Callable[[Sizes, float, Sequence[float]], list[Shares]]
"""Maps sources, the windows of the longest first stage, and temperatures to mixtures."""

TEMPERATURES = (1.0, 2.0, 3.0, 5.0, 10.0)
"""Values of T in p_i proportional to n_i^(1/T), from proportional to nearly uniform. XLM-R uses about 3 (Conneau et al.
2020, arXiv 1911.02116, alpha 0.3); massively multilingual translation uses 5 (Arivazhagan et al. 2019, arXiv
1907.05019)."""


def _reference_only(sources: Sizes, windows: float, temperatures: Sequence[float]) -> list[Shares]:
    reference = [name for name, size in sources.items() if size.reference]
    if not reference:
        raise ConfigError(
            "sampler: reference_only needs a source in the reference language, but there is none; add one"
        )
    has_sizes = all(sources[name].windows for name in reference)
    shares = SPREADS["proportional" if has_sizes else "uniform"](_windows(sources, reference), windows, 1.0)
    return [{name: shares.get(name, 0.0) for name in sources}]


def _spread_rule(spread: str) -> Rule:
    def mixtures(sources: Sizes, windows: float, temperatures: Sequence[float]) -> list[Shares]:
        if spread != "uniform" and not all(size.windows for size in sources.values()):
            raise ConfigError(
                f"sampler: {spread} needs the sizes of the sources, but a custom objective does not declare them; "
                "use uniform"
            )
        chosen = temperatures if spread == "temperature" else (1.0,)
        return [SPREADS[spread](_windows(sources, sources), windows, float(t)) for t in chosen]

    return mixtures


RULES: dict[str, Rule] = {
    "reference_only": _reference_only,
    "proportional": _spread_rule("proportional"),
    "uniform": _spread_rule("uniform"),
    "temperature": _spread_rule("temperature"),
    "unimax": _spread_rule("unimax"),
}
"""Rules for mixtures of labelled sources: the reference language only (Phang et al. 2020, arXiv 2005.13013),
proportional to size, uniform, proportional to size to the power of 1 / T, and uniform with a maximum number of epochs
(arXiv 2304.09151)."""


def make_rule(name: str, options: Options, context: SamplerContext) -> RuleSampler:
    """Return the sampler of a study."""
    return RuleSampler(
        name, options, space=context.space, sources=context.sources, windows=context.windows, seed=context.seed
    )


class RuleSampler:
    """A sampler that cycles through the mixtures of one rule.

    Args:
        name: key of `RULES`.
        options: `temperatures` for `temperature`; the other rules have no options.
        space: search space with absolute domains.
        sources: sizes of the sources of the first stage, by name.
        windows: number of windows of the longest first stage.
        seed: seed of the other parameters.

    Raises:
        ConfigError: an option is unknown or invalid, sizes are missing, or the space has no mixture.
    """

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        space: Space,
        sources: Sizes,
        windows: float,
        seed: int,
    ) -> None:
        check_options(f"sampler: {name}", options, ["temperatures"] if name == "temperature" else [])
        wanted = options.get("temperatures", TEMPERATURES)
        if not isinstance(wanted, list | tuple) or not wanted or not all(_is_number(t) and t >= 1 for t in wanted):
            raise ConfigError(f"sampler: temperature: temperatures must be numbers >= 1, but got {wanted!r}")
        labelled = {key: size for key, size in sources.items() if not size.auxiliary}
        if not labelled:
            raise ConfigError(f"sampler: {name} needs sources, but this experiment has none; use another sampler")
        check_mixture(space, name)
        mixtures = [mixture_params(space, shares, window_ratio(shares, labelled))
                    for shares in RULES[name](labelled, windows, wanted)]  # fmt: skip
        self._mixtures = list({repr(mixture): mixture for mixture in mixtures}.values())
        self._space, self._seed = space, seed
        self._rest = [key for key in space.parameters if key not in mixtures[0]]

    def propose(self, trials: Trials, number: int) -> Params:
        rng = np.random.default_rng(integer_hash("rule", self._seed, number))
        mixture = self._mixtures[number % len(self._mixtures)]
        return {**even(self._space, rng, 1)[0], **mixture}

    def exhausted(self, trials: Trials) -> bool:
        """Return whether every mixture was tried; never true if other parameters are searched too."""
        num_sampled = sum(record.kind == "sampled" for record in trials.records)
        return not self._rest and num_sampled >= len(self._mixtures)


def check_mixture(space: Space, sampler: str) -> None:
    """Check that a space has a mixture.

    Raises:
        ConfigError: the space has neither `shares` nor `ratio`.
    """
    if not {"shares", "ratio"} & set(space.parameters):
        raise ConfigError(f"sampler: {sampler} needs a mixture, but space {space.name} has none; use another sampler")


def mixture_params(space: Space, shares: Shares, ratio: float) -> Params:
    """Return a mixture as a parameter of the space, `shares` or else `ratio`, with the nearest valid value."""
    name, value = ("shares", shares) if "shares" in space.parameters else ("ratio", ratio)
    domain = space.parameters[name]
    return {name: domain.decode(domain.encode(value))}


def _windows(sources: Sizes, names: Iterable[str]) -> dict[str, int]:
    return {name: sources[name].windows for name in names}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
