"""The pruners, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratio_hpo.core.extensions import Options, Registry, check_callable, make

if TYPE_CHECKING:
    from ratio_hpo.pruners.base import Pruner, PrunerContext

OPTUNA = ("successive_halving", "hyperband", "median", "percentile", "patient", "threshold", "wilcoxon", "none")
"""Optuna's pruners."""

PRUNERS: Registry[Any] = Registry(
    "pruner",
    {"front": "ratio_hpo.pruners.front:make_front", **dict.fromkeys(OPTUNA, "ratio_hpo.pruners.optuna:make_optuna")},
)
"""Built-in pruners are functions of name, options and context; others are called with their options alone."""


def register_pruner(name: str, factory: Any) -> None:
    """Register a pruner, so that `pruner=name` and `pruner: {name: …, options: {…}}` find it.

    Args:
        name: Name of the pruner.
        factory: Class or function that returns a pruner; it gets the options as keyword arguments.

    Raises:
        ConfigError: The name is that of a built-in pruner or is not valid, or the factory cannot be called.

    Examples:
        >>> class Mine:
        ...     def decide(self, trials, trial):
        ...         return Decision.CONTINUE
        >>> register_pruner("mine", Mine)
        >>> "mine" in PRUNERS.names()
        True
    """
    check_callable("pruner", name, factory)
    PRUNERS.register(name, factory)


def check_pruner_name(name: str) -> None:
    """Check that a pruner exists, and that one that is named by path can be made without arguments.

    Raises:
        ConfigError: The name is unknown, or it is no pruner; with the nearest known name.
    """
    factory = PRUNERS.find(name)
    if ":" in name:
        make("pruner", name, factory, {}, method="decide")


def check_pruner(name: str, options: Options, languages: Sequence[str]) -> None:
    """Check the options of a built-in pruner.

    Raises:
        ConfigError: An option is invalid, or the pruner needs more languages.
    """
    if name == "front":
        from ratio_hpo.pruners.front import check_options

        check_options(options)
    elif name in OPTUNA:
        from ratio_hpo.pruners.optuna import check_optuna

        check_optuna(name, options, languages)


def make_pruner(name: str, options: Options, context: PrunerContext) -> Pruner:
    """Return a pruner by name.

    Raises:
        ConfigError: The name is unknown, or an option is invalid.
    """
    factory = PRUNERS.find(name)
    if PRUNERS.is_built_in(name):
        return factory(name, options, context)
    from ratio_hpo.pruners.base import CheckedPruner

    return CheckedPruner(make("pruner", name, factory, options, method="decide"), name)
