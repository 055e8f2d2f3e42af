"""Mixtures by rule, as samplers: what people set where they do not search. What else is searched is drawn at random.

They stand in benchmarks beside samplers that learn, and tell a user what a rule would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ratio_hpo.core.config import check_options
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Params
from ratio_hpo.data.mixing import SPREADS, SourceSize, window_ratio
from ratio_hpo.space import Space
from ratio_hpo.study.samplers import Coordinates, fixed_values
from ratio_hpo.surrogate.candidates import even

if TYPE_CHECKING:
    from ratio_hpo.study.state import StudyState

Shares = dict[str, float]
Sizes = Mapping[str, SourceSize]
Rule = Callable[[Sizes, float, Sequence[float]], list[Shares]]
"""From sources, the windows of the longest first stage, and temperatures, to mixtures."""

TEMPERATURES = (1.0, 2.0, 3.0, 5.0, 10.0)
"""T of p_i proportional to n_i^(1/T), from by size to nearly uniform: about 3 is that of XLM-R (Conneau et al. 2020,
arXiv 1911.02116, alpha 0.3), 5 that of translation in many languages (Arivazhagan et al. 2019, arXiv 1907.05019)."""


def _reference_only(sources: Sizes, windows: float, temperatures: Sequence[float]) -> list[Shares]:
    reference = [name for name, size in sources.items() if size.reference]
    if not reference:
        raise ConfigError(
            "sampler: reference_only needs a source in the reference language, but there is none; add one"
        )
    known = all(sources[name].windows for name in reference)
    among = SPREADS["proportional" if known else "uniform"](_windows(sources, reference), windows, 1.0)
    return [{name: among.get(name, 0.0) for name in sources}]


def _by(spread: str) -> Rule:
    def mixtures(sources: Sizes, windows: float, temperatures: Sequence[float]) -> list[Shares]:
        if spread != "uniform" and not all(size.windows for size in sources.values()):
            raise ConfigError(
                f"sampler: {spread} needs the sizes of sources, which an objective of your own keeps to itself; "
                "take uniform"
            )
        chosen = temperatures if spread == "temperature" else (1.0,)
        return [SPREADS[spread](_windows(sources, sources), windows, float(each)) for each in chosen]

    return mixtures


RULES: dict[str, Rule] = {
    "reference_only": _reference_only,
    "proportional": _by("proportional"),
    "uniform": _by("uniform"),
    "temperature": _by("temperature"),
    "unimax": _by("unimax"),
}
"""Mixtures of labelled sources by rule: those of the reference language alone (Phang et al. 2020, arXiv 2005.13013), by
size, evenly, by size to the power of 1 / T, and evenly up to a number of epochs (arXiv 2304.09151)."""


class RuleSampler:
    """A sampler of mixtures by rule; several are taken in turn.

    Args:
        sources: of the first stage.
        windows: of the longest first stage.
        options: `temperatures`, of `temperature`.

    Raises:
        ConfigError: options that it does not take, sizes that are not known, no mixture in the space.
    """

    needs_trial = False

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        space: Space,
        sources: Sizes,
        windows: float,
        seed: int,
    ) -> None:
        check_options(f"sampler: {name}", options, ["temperatures"] if name == "temperature" else [])
        wanted = options.get("temperatures", TEMPERATURES)
        if not isinstance(wanted, list | tuple) or not wanted or not all(_is_number(t) and t >= 1 for t in wanted):
            raise ConfigError(f"sampler: temperature: temperatures needs numbers from 1 on, but got {wanted!r}")
        labelled = {key: size for key, size in sources.items() if not size.auxiliary}
        if not labelled:
            raise ConfigError(f"sampler: {name} needs sources, but this experiment names none; take another sampler")
        check_mixture(space, name)
        mixtures = [mixture_params(space, each, window_ratio(each, labelled))
                    for each in RULES[name](labelled, windows, wanted)]  # fmt: skip
        self._mixtures = list({repr(each): each for each in mixtures}.values())
        self._space, self._seed = space, seed
        self._rest = [key for key in space.parameters if key not in mixtures[0]]

    def propose(self, view: StudyState, number: int) -> Coordinates:
        rng = np.random.default_rng(integer_hash("rule", self._seed, number))
        mixture = self._mixtures[number % len(self._mixtures)]
        return fixed_values(self._space, {**even(self._space, rng, 1)[0], **mixture})

    def exhausted(self, view: StudyState) -> bool:
        """Where nothing but the mixture is searched, each is tried once."""
        tried = sum(record.kind == "sampled" for record in view.records)
        return not self._rest and tried >= len(self._mixtures)


def check_mixture(space: Space, sampler: str) -> None:
    """Refuse a space without a mixture.

    Raises:
        ConfigError: one line.
    """
    if not {"shares", "ratio"} & set(space.parameters):
        raise ConfigError(f"sampler: space {space.name} searches no mixture, which {sampler} is for; take another")


def mixture_params(space: Space, shares: Shares, ratio: float) -> Params:
    """A mixture as the space says it, by its shares or else by its ratio, as near as the space holds it."""
    name, value = ("shares", shares) if "shares" in space.parameters else ("ratio", ratio)
    domain = space.parameters[name]
    return {name: domain.decode(domain.encode(value))}


def _windows(sources: Sizes, names: Iterable[str]) -> dict[str, int]:
    return {name: sources[name].windows for name in names}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
