"""From a ratio to shares: how the non-English part is spread over its sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ratio_hpo.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSize:
    """How much a source holds.

    Attributes:
        windows, questions: counts.
        tokens: non-padding tokens over all windows.
        reference: whether it belongs to the reference language.
    """

    windows: int
    questions: int
    tokens: int
    reference: bool

    @property
    def tokens_per_window(self) -> float:
        return self.tokens / max(self.windows, 1)


def proportional(sizes: Mapping[str, int], amount: float, temperature: float) -> dict[str, float]:
    """By number of windows."""
    return _normalised({name: float(size) for name, size in sizes.items()})


def uniform(sizes: Mapping[str, int], amount: float, temperature: float) -> dict[str, float]:
    """The same for each source."""
    return _normalised(dict.fromkeys(sizes, 1.0))


def tempered(sizes: Mapping[str, int], amount: float, temperature: float) -> dict[str, float]:
    """p_i proportional to n_i^(1/T), T in [1, inf)."""
    if temperature < 1.0:
        raise ConfigError(f"temperature needs a value of 1 or more, but got {temperature}; raise it")
    return _normalised({name: size ** (1.0 / temperature) for name, size in sizes.items()})


UNIMAX_EPOCHS = 4.0
"""Repeats of a source that `unimax` allows (Muennighoff et al. 2023, arXiv 2305.16264: about 4 still pay)."""


def unimax(sizes: Mapping[str, int], amount: float, temperature: float) -> dict[str, float]:
    """Uniform with a cap on repeats (Chung et al. 2023, arXiv 2304.09151, algorithm 1).

    Where the caps together do not fill the amount, all sources repeat more often in proportion to their caps.
    """
    left = max(amount, 1.0)
    given: dict[str, float] = {}
    ordered = sorted(sizes, key=lambda name: (sizes[name], name))
    for k, name in enumerate(ordered):
        given[name] = min(left / (len(ordered) - k), UNIMAX_EPOCHS * sizes[name])
        left -= given[name]
    return _normalised(given)


SPREADS: dict[str, Callable[[Mapping[str, int], float, float], dict[str, float]]] = {
    "proportional": proportional,
    "uniform": uniform,
    "temperature": tempered,
    "unimax": unimax,
}


def spread_shares(
    sizes: Mapping[str, SourceSize],
    ratio: float,
    spread: str,
    *,
    amount: float = 0.0,
    temperature: float = 1.0,
    unit: str = "examples",
) -> dict[str, float]:
    """Shares of all sources at a ratio.

    Args:
        sizes: of each source; the reference ones share 1 - ratio by size.
        ratio: total share of the sources that are not the reference's, in [0, 1].
        spread: a name in `SPREADS`.
        amount: what those sources will give in all, in the unit; `unimax` counts repeats with it.
        unit: what sizes and shares count: `examples` (windows) or `tokens`.

    Raises:
        ConfigError: a ratio outside [0, 1], or one that needs sources which are not there.
    """
    if not 0.0 <= ratio <= 1.0:
        raise ConfigError(f"ratio needs a value in [0, 1], but got {ratio}; correct it")
    amounts = _amounts(sizes, unit)
    english = {name: amounts[name] for name, size in sizes.items() if size.reference}
    others = {name: amounts[name] for name, size in sizes.items() if not size.reference}
    if ratio > 0.0 and not others:
        raise ConfigError(f"ratio {ratio:g} needs a source outside the reference language, but there is none; add one")
    if ratio < 1.0 and not english:
        raise ConfigError(f"ratio {ratio:g} needs a source in the reference language, but there is none; add one")
    shares = dict.fromkeys(sizes, 0.0)
    if ratio < 1.0:
        shares |= {k: (1.0 - ratio) * v for k, v in proportional(english, amount, 1.0).items()}
    if ratio > 0.0:
        parts = SPREADS[spread](others, amount, temperature)
        shares |= {k: ratio * v for k, v in parts.items()}
    return shares


def by_size(sizes: Mapping[str, SourceSize], unit: str) -> dict[str, float]:
    """Shares of all sources in proportion to what they hold."""
    return _normalised({name: float(amount) for name, amount in _amounts(sizes, unit).items()})


def _amounts(sizes: Mapping[str, SourceSize], unit: str) -> dict[str, int]:
    return {name: size.tokens if unit == "tokens" else size.windows for name, size in sizes.items()}


def window_ratio(shares: Mapping[str, float], sizes: Mapping[str, SourceSize]) -> float:
    """The total share of the sources that are not the reference's."""
    return sum(share for name, share in shares.items() if not sizes[name].reference)


def token_shares(shares: Mapping[str, float], sizes: Mapping[str, SourceSize]) -> dict[str, float]:
    """Window shares that give each source the asked share of non-padding tokens."""
    return _normalised({name: share / sizes[name].tokens_per_window for name, share in shares.items()})


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
