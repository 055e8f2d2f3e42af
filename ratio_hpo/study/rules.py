"""Mixtures by rule, as samplers: what people set where they do not search. What else is searched is drawn at random.

They stand in benchmarks beside samplers that learn, and tell a user what a rule would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.mixing import SPREADS, SourceSize, window_ratio
from ratio_hpo.space import Space
from ratio_hpo.study.samplers import Coordinates, fixed_values

if TYPE_CHECKING:
    from ratio_hpo.study.live import LiveView

Shares = dict[str, float]

TEMPERATURES = (1.0, 2.0, 3.0, 5.0, 10.0)
"""T of p_i proportional to n_i^(1/T): by size; 2, of XLM-E and mT0; 10/3, of mBERT and XLM-R, about; 5, of mT5's tasks
and NMT; nearly uniform (Arivazhagan et al. 2019, arXiv 1907.05019; Conneau et al. 2020, arXiv 1911.02116)."""


def _english_only(sources: Mapping[str, SourceSize], windows: float, options: Mapping[str, Any]) -> list[Shares]:
    reference = [name for name, size in sources.items() if size.reference]
    if not reference:
        raise ConfigError("sampler: english_only needs a source in the reference language, but there is none; add one")
    known = all(sources[name].windows for name in reference)
    among = SPREADS["proportional" if known else "uniform"](_windows(sources, reference), windows, 1.0)
    return [{name: among.get(name, 0.0) for name in sources}]


def _by(spread: str) -> Callable[[Mapping[str, SourceSize], float, Mapping[str, Any]], list[Shares]]:
    def mixtures(sources: Mapping[str, SourceSize], windows: float, options: Mapping[str, Any]) -> list[Shares]:
        if spread != "uniform" and not all(size.windows for size in sources.values()):
            raise ConfigError(
                f"sampler: {spread} needs the sizes of sources, which an objective of your own keeps to itself; "
                "take uniform"
            )
        temperatures = options.get("temperatures", TEMPERATURES) if spread == "temperature" else (1.0,)
        return [SPREADS[spread](_windows(sources, sources), windows, float(each)) for each in temperatures]

    return mixtures


RULES: dict[str, Callable[[Mapping[str, SourceSize], float, Mapping[str, Any]], list[Shares]]] = {
    "english_only": _english_only,
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

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        space: Space,
        sources: Mapping[str, SourceSize],
        windows: float,
        seed: int,
    ) -> None:
        known = ["temperatures"] if name == "temperature" else []
        for option in options:
            if option not in known:
                what = did_you_mean(option, known) if known else "it takes none"
                raise ConfigError(f"sampler: {name} has no option {option} ({what})")
        wanted = options.get("temperatures", TEMPERATURES)
        if not isinstance(wanted, list | tuple) or not wanted or not all(_is_number(t) and t >= 1 for t in wanted):
            raise ConfigError(f"sampler: temperature: temperatures needs numbers from 1 on, but got {wanted!r}")
        labelled = {key: size for key, size in sources.items() if not size.aside}
        if not labelled:
            raise ConfigError(f"sampler: {name} needs sources, but this experiment names none; take another sampler")
        mixtures = [mixture_params(space, each, labelled) for each in RULES[name](labelled, windows, options)]
        self._mixtures = list({repr(each): each for each in mixtures}.values())
        self._space, self._seed = space, seed
        self._rest = [key for key in space.parameters if key not in mixtures[0]]

    def propose(self, view: LiveView, number: int) -> Coordinates:
        rng = np.random.default_rng(integer_hash("rule", self._seed, number))
        cube = dict(zip(self._space.coordinates(), rng.random(len(self._space.coordinates())).tolist(), strict=True))
        mixture = self._mixtures[number % len(self._mixtures)]
        return fixed_values(self._space, {**self._space.decode(cube), **mixture})

    def exhausted(self, view: LiveView) -> bool:
        """Where nothing but the mixture is searched, each is tried once."""
        tried = sum(record.kind == "sampled" for record in view.records)
        return not self._rest and tried >= len(self._mixtures)


def mixture_params(space: Space, shares: Shares, sources: Mapping[str, SourceSize]) -> dict[str, Any]:
    """A mixture as the space says it: its shares, or its ratio, as near as the space holds it.

    Raises:
        ConfigError: the space searches neither.
    """
    found: dict[str, Any] = {}
    if "shares" in space.parameters:
        found["shares"] = shares
    elif "ratio" in space.parameters:
        found["ratio"] = window_ratio(shares, sources)
    else:
        raise ConfigError(f"sampler: space {space.name} searches no mixture, which this one is for; take another")
    return {key: space.parameters[key].decode(space.parameters[key].encode(value)) for key, value in found.items()}


def _windows(sources: Mapping[str, SourceSize], names: Any) -> dict[str, int]:
    return {name: sources[name].windows for name in names}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
