"""Convert a ratio to shares: spread the non-reference share over the non-reference sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ratio_hpo.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSize:
    """The size of a source.

    Attributes:
        windows: number of windows.
        questions: number of items of the task (questions, pairs, sentences, ...).
        tokens: number of non-padding tokens over all windows.
        reference: whether the source is in the reference language.
        task: task of the source's examples.
        auxiliary: whether the source is not labelled: text for masked language modelling.
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
    """Return shares in proportion to size."""
    return _normalised({name: float(size) for name, size in sizes.items()})


def uniform(sizes: Mapping[str, int], amount: float, temperature: float) -> dict[str, float]:
    """Return equal shares."""
    return _normalised(dict.fromkeys(sizes, 1.0))


def tempered(sizes: Mapping[str, int], amount: float, temperature: float) -> dict[str, float]:
    """Return shares proportional to n_i^(1/T), T in [1, inf)."""
    if temperature < 1.0:
        raise ConfigError(f"temperature must be at least 1, but got {temperature}; raise it")
    return _normalised({name: size ** (1.0 / temperature) for name, size in sizes.items()})


UNIMAX_EPOCHS = 4.0
"""Epochs over a source that `unimax` allows (about 4 are still useful: Muennighoff et al. 2023, arXiv 2305.16264)."""


def unimax(sizes: Mapping[str, int], amount: float, temperature: float) -> dict[str, float]:
    """Return uniform shares with a cap on repeats (Chung et al. 2023, arXiv 2304.09151, algorithm 1).

    If the caps together are less than the amount, all sources repeat more often, in proportion to their caps.
    """
    remaining = max(amount, 1.0)
    amounts: dict[str, float] = {}
    ordered = sorted(sizes, key=lambda name: (sizes[name], name))
    for k, name in enumerate(ordered):
        amounts[name] = min(remaining / (len(ordered) - k), UNIMAX_EPOCHS * sizes[name])
        remaining -= amounts[name]
    return _normalised(amounts)


SPREADS: dict[str, Callable[[Mapping[str, int], float, float], dict[str, float]]] = {
    "proportional": proportional,
    "uniform": uniform,
    "temperature": tempered,
    "unimax": unimax,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadRule:
    """The rule that splits the reference share and the non-reference share over their sources.

    Attributes:
        spread: rule for the non-reference sources, a name in `SPREADS`.
        reference_spread: rule for the reference sources, a name in `SPREADS`.
        temperature: temperature of the rule `temperature`.
        unit: unit of sizes and shares: `examples` (windows) or `tokens`.
        size_cap: larger sources count as this size, in the unit (T5's examples-proportional mixing, Raffel et al.
            2020, section 3.5.2); None for no cap.
    """

    spread: str = "proportional"
    reference_spread: str = "proportional"
    temperature: float = 1.0
    unit: str = "examples"
    size_cap: int | None = None

    def sizes(self, sources: Mapping[str, SourceSize]) -> dict[str, int]:
        """Return the size of each source in the unit, after the cap."""
        amounts = _amounts(sources, self.unit)
        return {
            name: amount if self.size_cap is None else min(amount, self.size_cap) for name, amount in amounts.items()
        }


def task_balanced_shares(
    sizes: Mapping[str, SourceSize], ratio: float, split: SpreadRule, whole: float = 0.0
) -> dict[str, float]:
    """Return shares at a ratio where each task keeps its share by size and the ratio applies within each task.

    Args:
        sizes: size of each source.
        ratio: total share of the non-reference sources, in [0, 1].
        split: the rule that splits shares over sources.
        whole: total amount that the labelled sources contribute, in the unit.

    Raises:
        ConfigError: if the ratio cannot be reached.
    """
    low, high = reachable_ratios(sizes, split)
    if not low - 1e-9 <= ratio <= high + 1e-9:
        raise ConfigError(
            f"ratio {ratio:.4g} cannot be reached with balance `task`: tasks with reference or non-reference data only "
            f"keep their share, which leaves {low:.4g} to {high:.4g}; narrow the ratio, or set balance to `language`"
        )
    tasks = _task_shares(sizes, split)
    mixed_ratio = (ratio - low) / (high - low) if high > low else 0.0
    shares = dict.fromkeys(sizes, 0.0)
    for task, share in tasks.items():
        task_sizes = {name: size for name, size in sizes.items() if size.task == task}
        sides = {size.reference for size in task_sizes.values()}
        task_ratio = mixed_ratio if len(sides) == 2 else float(False in sides)
        task_ratio = min(max(task_ratio, 0.0), 1.0)
        parts = spread_shares(
            task_sizes,
            task_ratio,
            split,
            amount=whole * share * task_ratio,
            reference_amount=whole * share * (1.0 - task_ratio),
        )
        shares |= {name: share * part for name, part in parts.items()}
    return shares


def reachable_ratios(sizes: Mapping[str, SourceSize], split: SpreadRule) -> tuple[float, float]:
    """Return the smallest and the largest ratio that leaves the share of each task unchanged."""
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
"""Temperature over the languages of masked language modelling: p ~ n^0.3 (Conneau et al. 2020, XLM-R)."""


def beside(
    labelled: Mapping[str, float], auxiliary: Mapping[str, SourceSize], share: float, unit: str
) -> dict[str, float]:
    """Return the shares of all sources, where the auxiliary sources together have `share` of the whole."""
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
    """Return the shares of all sources at a ratio.

    Args:
        sizes: size of each source.
        ratio: total share of the non-reference sources, in [0, 1].
        split: the rule that splits shares over sources.
        amount: total amount that the non-reference sources contribute, in the unit; `unimax` counts repeats with it.
        reference_amount: total amount that the reference sources contribute, in the unit.

    Raises:
        ConfigError: if the ratio is outside [0, 1] or needs sources that do not exist.
    """
    if not 0.0 <= ratio <= 1.0:
        raise ConfigError(f"ratio must be in [0, 1], but got {ratio}; correct it")
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
    """Return the shares of all sources in proportion to their sizes, up to the cap."""
    return _normalised({name: float(amount) for name, amount in split.sizes(sizes).items()})


def _amounts(sizes: Mapping[str, SourceSize], unit: str) -> dict[str, int]:
    return {name: size.tokens if unit == "tokens" else size.windows for name, size in sizes.items()}


def window_ratio(shares: Mapping[str, float], sizes: Mapping[str, SourceSize]) -> float:
    """Return the non-reference fraction of the total share of the labelled sources."""
    labelled = {name: share for name, share in shares.items() if not sizes[name].auxiliary}
    whole = sum(labelled.values())
    return sum(share for name, share in labelled.items() if not sizes[name].reference) / whole if whole else 0.0


def token_shares(shares: Mapping[str, float], sizes: Mapping[str, SourceSize]) -> dict[str, float]:
    """Return window shares that give each source the requested share of non-padding tokens."""
    return _normalised({name: share / sizes[name].tokens_per_window for name, share in shares.items()})


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
