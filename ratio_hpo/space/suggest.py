"""Proportions for those who use Optuna directly: K shares on K - 1 coordinates, with nothing redundant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ratio_hpo.space.domains import Ratio
from ratio_hpo.space.shares import Simplex


class SuggestsFloats(Protocol):
    """What is needed of a trial: Optuna's `Trial` and `FrozenTrial` have it."""

    def suggest_float(self, name: str, low: float, high: float) -> float: ...


def suggest_simplex(
    trial: SuggestsFloats,
    name: str,
    parts: Sequence[str],
    *,
    low: Mapping[str, float] | None = None,
    high: Mapping[str, float] | None = None,
    grid: int | None = None,
    presence: float | None = None,
) -> dict[str, float]:
    """Shares of `parts` that sum to 1, uniform on the simplex where every coordinate is uniform.

    The trial gets K - 1 parameters in [0, 1], named `<name>[0]`, `<name>[1]`, …. Optuna's documented way (K uniforms,
    -log, normalise) spends K parameters on K - 1 degrees of freedom.

    Args:
        parts: K >= 2 different names.
        low: smallest shares by name; 0 for a part without one.
        high: largest shares by name; 1 for a part without one.
        grid: shares are multiples of 1/grid.
        presence: shares under it become exactly zero.

    Returns:
        Share of each part, in the order of bounds, then of names, which is that of the coordinates.

    Raises:
        ValueError: bounds that no shares meet, repeated or too few parts.

    Examples:
        >>> import optuna
        >>> trial = optuna.trial.FixedTrial({"shares[0]": 0.25, "shares[1]": 0.5})
        >>> suggest_simplex(trial, "shares", ["en", "fi", "sw"])
        {'en': 0.5, 'fi': 0.25, 'sw': 0.25}
    """
    domain = Simplex(
        parts=tuple(parts),
        low=dict(low) if low else None,
        high=dict(high) if high else None,
        grid=grid,
        presence=presence,
    )
    cube = tuple(trial.suggest_float(f"{name}[{k}]", 0.0, 1.0) for k in range(domain.dimensions))
    return domain.decode(cube)


def suggest_ratio(trial: SuggestsFloats, name: str = "ratio", *, low: float = 0.0, high: float = 1.0) -> float:
    """The total share of the sources that are not the reference, a number in [low, high] within [0, 1].

    Raises:
        ValueError: unless 0 <= low < high <= 1.

    Examples:
        >>> import optuna
        >>> suggest_ratio(optuna.trial.FixedTrial({"ratio": 0.4}))
        0.4
    """
    domain = Ratio(low=low, high=high)
    return trial.suggest_float(name, domain.low, domain.high)
