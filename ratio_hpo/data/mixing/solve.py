"""Solve for the mixture and the length of a stage.

The two depend on each other: `budget: add` derives the length from the share of windows, `unit: tokens` converts shares
of tokens to shares of windows, and `unimax` counts repeats over the resulting length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
"""Largest non-reference share of windows under `budget: add`, where the stage is ten times as long."""

ROUNDS, SETTLED = 100, 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMixture:
    """The mixture and the length of a stage.

    Attributes:
        shares: share of windows, by source.
        requested: share in the requested unit, by source.
        ratio: non-reference fraction of the labelled windows.
        requested_ratio: the requested ratio, in the requested unit.
        steps: number of optimiser updates.
    """

    shares: dict[str, float]
    requested: dict[str, float]
    ratio: float
    requested_ratio: float
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureSpec(SpreadRule):
    """The requested mixture of a stage.

    Attributes:
        steps: reference number of steps; with `budget: add`, the number at ratio 0.
        batch_size: windows per step.
        budget: `replace` or `add`.
        balance: `language` applies the ratio over all labelled sources, `task` within each task.
        auxiliary: share of masked language modelling in the whole stage.
    """

    steps: int
    batch_size: int
    budget: str = "replace"
    balance: str = "language"
    auxiliary: float = 0.0


def solve(
    sizes: Mapping[str, SourceSize],
    spec: MixtureSpec,
    *,
    shares: Mapping[str, float] | None = None,
    ratio: float | None = None,
) -> StageMixture:
    """Return window shares and steps from explicit shares, from a ratio, or by size if neither is given.

    Args:
        sizes: size of each source.
        spec: the requested mixture.
        shares: explicit shares, by source.
        ratio: total share of the non-reference sources, in [0, 1].

    Raises:
        ConfigError: if a source is unknown, the ratio is outside [0, 1], or `budget: add` exceeds 0.9 of the windows.
    """
    unknown = [name for name in shares or () if name not in sizes]
    if unknown:
        raise ConfigError(f"shares.{unknown[0]}: unknown source; known: {', '.join(sorted(sizes))}")
    amount = spec.steps * spec.batch_size * (ratio or 0.0) * (1.0 - spec.auxiliary)
    for _ in range(ROUNDS):
        solution = _solve_once(sizes, spec, shares, ratio, amount)
        before, amount = amount, _non_reference_amount(sizes, spec, solution)
        if abs(amount - before) <= SETTLED * max(amount, 1.0):
            break
    if spec.budget == "add":
        check_added(solution.ratio)
    return solution


def added_steps(steps: int, ratio: float, budget: str) -> int:
    """Return the number of steps of a stage; `add` keeps all reference windows and adds the non-reference ones.

    Args:
        steps: number of steps at ratio 0.
        ratio: non-reference share of the windows.
        budget: `replace` or `add`.

    Raises:
        ConfigError: if the budget is `add` and the ratio is over 0.9.
    """
    if budget == "replace":
        return steps
    check_added(ratio)
    return math.ceil(steps / (1.0 - ratio) - 1e-9)


def shares_within_budget(
    sizes: Mapping[str, SourceSize],
    wanted: MixtureSpec,
    *,
    shares: Mapping[str, float] | None = None,
    ratio: float | None = None,
) -> dict[str, float] | None:
    """Return the requested share of each source as if the budget were `replace`; None if the budget excludes them."""
    requested = solve(sizes, replace(wanted, budget="replace"), shares=shares, ratio=ratio).requested
    try:
        solve(sizes, wanted, shares=requested)
    except ConfigError:
        return None
    return requested


def check_budget(wanted: MixtureSpec, *, ratio: float | None) -> None:
    """Check that a budget supports mixtures up to a ratio, as far as this does not depend on the sizes of the sources.

    Args:
        wanted: the requested mixture.
        ratio: largest ratio; None: the mixtures are given by shares instead of a ratio.

    Raises:
        ConfigError: if it does not.
    """
    if wanted.budget == "add" and ratio is None:
        raise ConfigError("budget `add` needs a ratio, not shares; use `ratio`")
    if wanted.budget == "add" and ratio is not None and wanted.unit == "examples":
        check_added(ratio)


def largest_steps(
    sizes: Mapping[str, SourceSize], wanted: MixtureSpec, ratio: float, *, spread_varies: bool = False
) -> int:
    """Return the largest number of steps over all mixtures up to a ratio.

    Args:
        sizes: size of each source.
        wanted: the requested mixture.
        ratio: largest ratio.
        spread_varies: whether the result must hold for every spread.

    Raises:
        ConfigError: if the budget does not support the ratio.
    """
    if wanted.budget == "replace":
        return wanted.steps
    depends_on_length = wanted.spread == "unimax" and wanted.unit == "tokens"  # fewer steps reach fewer caps
    if spread_varies or depends_on_length:
        return added_steps(wanted.steps, largest_window_ratio(sizes, ratio, wanted.unit), wanted.budget)
    return solve(sizes, wanted, ratio=ratio).steps


def check_added(ratio: float) -> None:
    """Check that `budget: add` supports a non-reference share of windows.

    Raises:
        ConfigError: if the share is over 0.9.
    """
    if ratio > MAX_ADDED_RATIO + 1e-9:
        raise ConfigError(
            f"budget `add` needs at most {MAX_ADDED_RATIO} of the windows outside the reference language, "
            f"but got {ratio:.4g}; lower the ratio"
        )


def largest_window_ratio(sizes: Mapping[str, SourceSize], ratio: float, unit: str) -> float:
    """Return the largest window ratio that a ratio can produce: all of it on the source with the shortest windows."""
    other_lengths = [size.tokens_per_window for size in sizes.values() if not size.reference and not size.auxiliary]
    reference_lengths = [size.tokens_per_window for size in sizes.values() if size.reference and not size.auxiliary]
    if unit == "examples" or not other_lengths or not reference_lengths:
        return ratio
    other_windows, reference_windows = ratio / min(other_lengths), (1.0 - ratio) / max(reference_lengths)
    return other_windows / (other_windows + reference_windows)


def _solve_once(
    sizes: Mapping[str, SourceSize],
    spec: MixtureSpec,
    shares: Mapping[str, float] | None,
    ratio: float | None,
    amount: float,
) -> StageMixture:
    """Solve for a given total amount of the non-reference sources, in the unit."""
    labelled = {name: size for name, size in sizes.items() if not size.auxiliary}
    auxiliary = {name: size for name, size in sizes.items() if size.auxiliary}
    if shares is not None:
        labelled_shares = {name: float(shares.get(name, 0.0)) for name in labelled}
    elif ratio is None:
        labelled_shares = by_size(labelled, spec)
    elif spec.balance == "task":
        labelled_shares = task_balanced_shares(labelled, ratio, spec, _labelled_amount(labelled, spec))
    else:
        added = 1.0 if spec.budget == "add" else 1.0 - ratio
        reference = {name: size for name, size in labelled.items() if size.reference}
        labelled_shares = spread_shares(
            labelled, ratio, spec, amount=amount, reference_amount=added * _labelled_amount(reference, spec)
        )
    if shares is not None and any(shares.get(name, 0.0) > 0.0 for name in auxiliary):
        requested = {name: float(shares.get(name, 0.0)) for name in sizes}
    else:
        requested = beside(labelled_shares, auxiliary, spec.auxiliary if auxiliary else 0.0, spec.unit)
    windows = token_shares(requested, sizes) if spec.unit == "tokens" else requested
    actual_ratio = window_ratio(windows, sizes)
    return StageMixture(
        shares=windows,
        requested=requested,
        ratio=actual_ratio,
        requested_ratio=window_ratio(requested, sizes) if ratio is None else ratio,
        steps=added_steps(spec.steps, min(actual_ratio, MAX_ADDED_RATIO), spec.budget),
    )


def _labelled_amount(sizes: Mapping[str, SourceSize], spec: MixtureSpec) -> float:
    """Return the labelled size of a stage in the unit, if all of it came from these sources."""
    windows = spec.steps * spec.batch_size * (1.0 - spec.auxiliary)
    if spec.unit == "examples" or not sizes:
        return windows
    return windows * sum(s.tokens for s in sizes.values()) / max(sum(s.windows for s in sizes.values()), 1)


def _non_reference_amount(sizes: Mapping[str, SourceSize], spec: MixtureSpec, solution: StageMixture) -> float:
    """Return the total amount that the non-reference sources contribute to the stage, in the unit."""
    amounts = {
        name: solution.shares[name] * (size.tokens_per_window if spec.unit == "tokens" else 1.0)
        for name, size in sizes.items()
        if not size.reference and not size.auxiliary
    }
    return solution.steps * spec.batch_size * sum(amounts.values())
