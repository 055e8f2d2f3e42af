"""From a ratio to shares: how the non-English part is spread over its sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ratio_hpo.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSize:
    """How much a source holds.

    Attributes:
        windows, questions: counts; a question is an item of whatever task.
        tokens: non-padding tokens over all windows.
        reference: whether it belongs to the reference language.
        task: whose examples it holds.
        aside: whether it stands beside the labelled sources: text for masked language modelling.
    """

    windows: int
    questions: int
    tokens: int
    reference: bool
    task: str = ""
    auxiliary: bool = False

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadRule:
    """How a side's share is split over its sources.

    Attributes:
        spread: of the sources that are not the reference's, a name in `SPREADS`; `reference_spread` of the reference's.
        temperature: of `temperature`.
        unit: what sizes and shares count: `examples` (windows) or `tokens`.
        size_cap: a source counts as no larger than that, in the unit (T5's examples-proportional mixing, Raffel et
            al. 2020, section 3.5.2); None: as it is.
    """

    spread: str = "proportional"
    reference_spread: str = "proportional"
    temperature: float = 1.0
    unit: str = "examples"
    size_cap: int | None = None

    def sizes(self, sources: Mapping[str, SourceSize]) -> dict[str, int]:
        """How much each source counts as."""
        amounts = _amounts(sources, self.unit)
        return {
            name: amount if self.size_cap is None else min(amount, self.size_cap) for name, amount in amounts.items()
        }


def task_balanced_shares(
    sizes: Mapping[str, SourceSize], ratio: float, split: SpreadRule, whole: float = 0.0
) -> dict[str, float]:
    """Shares at a ratio where each task keeps its share, by size, and the ratio applies inside each.

    Args:
        whole: what all labelled sources will give together, in the unit.

    Raises:
        ConfigError: a ratio that cannot be reached so.
    """
    low, high = reachable_ratios(sizes, split)
    if not low - 1e-9 <= ratio <= high + 1e-9:
        raise ConfigError(
            f"ratio {ratio:.4g} cannot be reached with balance `task`: tasks that have one side only keep their share, "
            f"which leaves {low:.4g} to {high:.4g}; narrow the ratio, or take balance `language`"
        )
    tasks = _task_shares(sizes, split)
    inner = (ratio - low) / (high - low) if high > low else 0.0
    shares = dict.fromkeys(sizes, 0.0)
    for task, share in tasks.items():
        own = {name: size for name, size in sizes.items() if size.task == task}
        sides = {size.reference for size in own.values()}
        asked = inner if len(sides) == 2 else float(False in sides)
        asked = min(max(asked, 0.0), 1.0)
        parts = spread_shares(
            own, asked, split, amount=whole * share * asked, reference_amount=whole * share * (1.0 - asked)
        )
        shares |= {name: share * part for name, part in parts.items()}
    return shares


def reachable_ratios(sizes: Mapping[str, SourceSize], split: SpreadRule) -> tuple[float, float]:
    """The least and the largest ratio where each task keeps its share."""
    low, high = 0.0, 1.0
    for task, share in _task_shares(sizes, split).items():
        sides = {size.reference for size in sizes.values() if size.task == task}
        if sides == {False}:
            low += share
        if sides == {True}:
            high -= share
    return low, max(high, low)


def _task_shares(sizes: Mapping[str, SourceSize], split: SpreadRule) -> dict[str, float]:
    totals: dict[str, float] = {}
    for name, amount in split.sizes(sizes).items():
        totals[sizes[name].task] = totals.get(sizes[name].task, 0.0) + amount
    return _normalised(totals)


AUXILIARY_TEMPERATURE = 1 / 0.3
"""Of languages within masked language modelling: p ~ n^0.3 (Conneau et al. 2020, XLM-R)."""


def beside(
    labelled: Mapping[str, float], auxiliary: Mapping[str, SourceSize], share: float, unit: str
) -> dict[str, float]:
    """Shares of all sources, where those that stand aside have `share` of everything together."""
    shares = {name: (1.0 - share) * value for name, value in labelled.items()}
    if not auxiliary:
        return shares
    parts = tempered(_amounts(auxiliary, unit), 0.0, AUXILIARY_TEMPERATURE)
    return shares | {name: share * part for name, part in parts.items()}


def spread_shares(
    sizes: Mapping[str, SourceSize],
    ratio: float,
    split: SpreadRule,
    *,
    amount: float = 0.0,
    reference_amount: float = 0.0,
) -> dict[str, float]:
    """Shares of all sources at a ratio.

    Args:
        sizes: of each source.
        ratio: total share of the sources that are not the reference's, in [0, 1].
        amount: what those sources will give in all, in the unit; `unimax` counts repeats with it.
        reference_amount: what the reference's will give.

    Raises:
        ConfigError: a ratio outside [0, 1], or one that needs sources which are not there.
    """
    if not 0.0 <= ratio <= 1.0:
        raise ConfigError(f"ratio needs a value in [0, 1], but got {ratio}; correct it")
    amounts = split.sizes(sizes)
    reference = {name: amounts[name] for name, size in sizes.items() if size.reference}
    others = {name: amounts[name] for name, size in sizes.items() if not size.reference}
    if ratio > 0.0 and not others:
        raise ConfigError(f"ratio {ratio:g} needs a source outside the reference language, but there is none; add one")
    if ratio < 1.0 and not reference:
        raise ConfigError(f"ratio {ratio:g} needs a source in the reference language, but there is none; add one")
    shares = dict.fromkeys(sizes, 0.0)
    if ratio < 1.0:
        parts = SPREADS[split.reference_spread](reference, reference_amount, split.temperature)
        shares |= {k: (1.0 - ratio) * v for k, v in parts.items()}
    if ratio > 0.0:
        parts = SPREADS[split.spread](others, amount, split.temperature)
        shares |= {k: ratio * v for k, v in parts.items()}
    return shares


def by_size(sizes: Mapping[str, SourceSize], split: SpreadRule) -> dict[str, float]:
    """Shares of all sources in proportion to what they hold, up to the cap."""
    return _normalised({name: float(amount) for name, amount in split.sizes(sizes).items()})


def _amounts(sizes: Mapping[str, SourceSize], unit: str) -> dict[str, int]:
    return {name: size.tokens if unit == "tokens" else size.windows for name, size in sizes.items()}


def window_ratio(shares: Mapping[str, float], sizes: Mapping[str, SourceSize]) -> float:
    """The part that is not the reference's, of what the labelled sources share."""
    labelled = {name: share for name, share in shares.items() if not sizes[name].auxiliary}
    whole = sum(labelled.values())
    return sum(share for name, share in labelled.items() if not sizes[name].reference) / whole if whole else 0.0


def token_shares(shares: Mapping[str, float], sizes: Mapping[str, SourceSize]) -> dict[str, float]:
    """Window shares that give each source the asked share of non-padding tokens."""
    return _normalised({name: share / sizes[name].tokens_per_window for name, share in shares.items()})


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
