"""Suggest functions for direct use with Optuna: K shares from K - 1 parameters, without redundancy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ratio_hpo.space.domains import Ratio
from ratio_hpo.space.shares import Simplex


class SuggestsFloats(Protocol):
    """The required interface of a trial, which Optuna's `Trial` and `FrozenTrial` have."""

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
    """Suggest shares of `parts` that sum to 1, uniform on the simplex if every coordinate is uniform.

    The trial gets K - 1 parameters in [0, 1], named `<name>[0]`, `<name>[1]`, …. The recipe in Optuna's documentation
    (K uniforms, -log, normalise) uses K parameters for K - 1 degrees of freedom.

    Args:
        trial: an Optuna trial.
        name: prefix of the parameter names.
        parts: K >= 2 distinct names.
        low: lower bounds by name; the default is 0.
        high: upper bounds by name; the default is 1.
        grid: shares are multiples of 1/grid.
        presence: shares below this become exactly zero.

    Returns:
        Share of each part, sorted by bounds, then by name, like the coordinates.

    Raises:
        ValueError: if no shares satisfy the bounds, or if parts are repeated or too few.

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
    """Suggest the total share of the non-reference sources, a number in [low, high] within [0, 1].

    Raises:
        ValueError: unless 0 <= low < high <= 1.

    Examples:
        >>> import optuna
        >>> suggest_ratio(optuna.trial.FixedTrial({"ratio": 0.4}))
        0.4
    """
    domain = Ratio(low=low, high=high)
    return trial.suggest_float(name, domain.low, domain.high)
