"""The mixture and the length of a stage, solved together: the one place where both are worked out.

They hang on each other. `budget: add` makes a stage as long as its share of windows asks for; `unit: tokens` makes
shares of windows from shares of tokens; `unimax` counts repeats over the length that comes of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.data.mixing.shares import (
    SourceSize,
    SpreadRule,
    beside,
    by_size,
    spread_shares,
    task_balanced_shares,
    token_shares,
    window_ratio,
)

MAX_ADDED_RATIO = 0.9
"""The largest share of windows that `budget: add` takes: the stage is ten times as long there."""

ROUNDS, SETTLED = 100, 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMixture:
    """A stage's mixture and length.

    Attributes:
        shares: of windows, by source.
        requested: shares in the requested unit.
        ratio: share of the labelled windows that are not the reference's.
        asked_ratio: the same of `requested`.
        steps: updates.
    """

    shares: dict[str, float]
    requested: dict[str, float]
    ratio: float
    requested_ratio: float
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureSpec:
    """What is requested of a stage.

    Attributes:
        steps, batch_size: its reference length; with `budget: add`, that at ratio 0.
        spread, temperature, reference_spread, size_cap: how a side's share is split over its sources.
        unit: what shares and ratio count: `examples` (windows) or `tokens`.
        budget: `replace`, or `add`.
        balance: whether a ratio is one over `language`s, or holds inside each `task`.
        aside: share of all that masked language modelling has, beside the labelled sources.
    """

    steps: int
    batch_size: int
    spread: str = "proportional"
    reference_spread: str = "proportional"
    temperature: float = 1.0
    unit: str = "examples"
    budget: str = "replace"
    size_cap: int | None = None
    balance: str = "language"
    auxiliary: float = 0.0

    @property
    def split(self) -> SpreadRule:
        """How a side's share is split over its sources."""
        return SpreadRule(
            spread=self.spread,
            reference_spread=self.reference_spread,
            temperature=self.temperature,
            unit=self.unit,
            size_cap=self.size_cap,
        )


def solve(
    sizes: Mapping[str, SourceSize],
    wanted: MixtureSpec,
    *,
    shares: Mapping[str, float] | None = None,
    ratio: float | None = None,
) -> StageMixture:
    """Window shares and steps, from explicit shares, from a ratio, or by size where neither is given.

    Raises:
        ConfigError: a source that is not there, a ratio outside [0, 1], or `add` with over 0.9 of the windows.
    """
    unknown = [name for name in shares or () if name not in sizes]
    if unknown:
        raise ConfigError(f"shares name {unknown[0]}, which is no source; known: {', '.join(sorted(sizes))}")
    amount = wanted.steps * wanted.batch_size * (ratio or 0.0) * (1.0 - wanted.auxiliary)
    for _ in range(ROUNDS):
        solution = _once(sizes, wanted, shares, ratio, amount)
        before, amount = amount, _amount(sizes, wanted, solution)
        if abs(amount - before) <= SETTLED * max(amount, 1.0):
            break
    if wanted.budget == "add":
        check_added(solution.ratio)
    return solution


def added_steps(steps: int, ratio: float, budget: str) -> int:
    """Steps of a stage at a share of windows: with `add`, the reference's stay whole and the rest comes on top.

    Raises:
        ConfigError: `add` with a ratio over 0.9.
    """
    if budget == "replace":
        return steps
    check_added(ratio)
    return math.ceil(steps / (1.0 - ratio) - 1e-9)


def check_added(ratio: float) -> None:
    """Refuse a share of windows that `budget: add` cannot have.

    Raises:
        ConfigError: it is over 0.9.
    """
    if ratio > MAX_ADDED_RATIO + 1e-9:
        raise ConfigError(
            f"budget `add` needs at most {MAX_ADDED_RATIO} of the windows outside the reference language, "
            f"but got {ratio:.4g}; lower the ratio"
        )


def largest_window_ratio(sizes: Mapping[str, SourceSize], ratio: float, unit: str) -> float:
    """The most that a ratio can come to in windows, however it is spread: all of it on the shortest windows."""
    others = [size.tokens_per_window for size in sizes.values() if not size.reference and not size.auxiliary]
    reference = [size.tokens_per_window for size in sizes.values() if size.reference and not size.auxiliary]
    if unit == "examples" or not others or not reference:
        return ratio
    least, most = ratio / min(others), (1.0 - ratio) / max(reference)
    return least / (least + most)


def _once(
    sizes: Mapping[str, SourceSize],
    wanted: MixtureSpec,
    shares: Mapping[str, float] | None,
    ratio: float | None,
    amount: float,
) -> StageMixture:
    """The solution where the other sources give `amount`, in the unit."""
    labelled = {name: size for name, size in sizes.items() if not size.auxiliary}
    auxiliary = {name: size for name, size in sizes.items() if size.auxiliary}
    if shares is not None:
        among = {name: float(shares.get(name, 0.0)) for name in labelled}
    elif ratio is None:
        among = by_size(labelled, wanted.split)
    elif wanted.balance == "task":
        among = task_balanced_shares(labelled, ratio, wanted.split, _whole(labelled, wanted))
    else:
        added = 1.0 if wanted.budget == "add" else 1.0 - ratio
        reference = {name: size for name, size in labelled.items() if size.reference}
        among = spread_shares(
            labelled, ratio, wanted.split, amount=amount, reference_amount=added * _whole(reference, wanted)
        )
    if shares is not None and any(shares.get(name, 0.0) > 0.0 for name in auxiliary):
        requested = {name: float(shares.get(name, 0.0)) for name in sizes}
    else:
        requested = beside(among, auxiliary, wanted.auxiliary if auxiliary else 0.0, wanted.unit)
    windows = token_shares(requested, sizes) if wanted.unit == "tokens" else requested
    found = window_ratio(windows, sizes)
    return StageMixture(
        shares=windows,
        requested=requested,
        ratio=found,
        requested_ratio=window_ratio(requested, sizes) if ratio is None else ratio,
        steps=added_steps(wanted.steps, min(found, MAX_ADDED_RATIO), wanted.budget),
    )


def _whole(sizes: Mapping[str, SourceSize], wanted: MixtureSpec) -> float:
    """What the labelled windows of a stage come to in the unit, were all of them of these sources."""
    windows = wanted.steps * wanted.batch_size * (1.0 - wanted.auxiliary)
    if wanted.unit == "examples" or not sizes:
        return windows
    return windows * sum(s.tokens for s in sizes.values()) / max(sum(s.windows for s in sizes.values()), 1)


def _amount(sizes: Mapping[str, SourceSize], wanted: MixtureSpec, solution: StageMixture) -> float:
    """What the other sources give over the whole stage, in the unit."""
    per_window = {
        name: (size.tokens_per_window if wanted.unit == "tokens" else 1.0)
        for name, size in sizes.items()
        if not size.reference and not size.auxiliary
    }
    drawn = solution.steps * wanted.batch_size
    return drawn * sum(solution.shares[name] * each for name, each in per_window.items())
