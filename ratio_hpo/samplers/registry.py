"""The samplers, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratio_hpo.core.extensions import Options, Registry, check_callable, make

if TYPE_CHECKING:
    from ratio_hpo.samplers.base import Sampler, SamplerContext

RULED = ("reference_only", "proportional", "uniform", "temperature", "unimax")
"""Samplers that propose a fixed baseline mixture."""

LAWS = ("regmix", "olmix")
"""Samplers that fit a mixing law."""

SAMPLERS: Registry[Any] = Registry(
    "sampler",
    {
        "mixture": "ratio_hpo.samplers.mixture:make_mixture",
        **dict.fromkeys(
            ("tpe", "gp", "nsga2", "nsga3", "qmc", "random", "grid"), "ratio_hpo.samplers.optuna:make_optuna"
        ),
        **dict.fromkeys(RULED, "ratio_hpo.samplers.baseline_mixtures:make_rule"),
        **dict.fromkeys(LAWS, "ratio_hpo.samplers.mixing_laws:make_law"),
    },
)
"""Built-in samplers are functions of name, options and context; others are called with their options alone."""


def register_sampler(name: str, factory: Any) -> None:
    """Register a sampler, so that `sampler=name` and `sampler: {name: …, options: {…}}` find it.

    Args:
        name: Name of the sampler.
        factory: Class or function that returns a sampler; it gets the options as keyword arguments.

    Raises:
        ConfigError: The name is that of a built-in sampler or is not valid, or the factory cannot be called.

    Examples:
        >>> class Mine:
        ...     def propose(self, trials, number):
        ...         return {"ratio": 0.5}
        >>> register_sampler("mine", Mine)
        >>> "mine" in SAMPLERS.names()
        True
    """
    check_callable("sampler", name, factory)
    SAMPLERS.register(name, factory)


def check_sampler(name: str) -> None:
    """Check that a sampler exists, and that one that is not built in can be made without arguments if named by path.

    Raises:
        ConfigError: The name is unknown, or it is no sampler; with the nearest known name.
    """
    factory = SAMPLERS.find(name)
    if ":" in name:
        make("sampler", name, factory, {}, method="propose")


def make_sampler(name: str, options: Options, context: SamplerContext) -> Sampler:
    """Return a sampler by name.

    Raises:
        ConfigError: The name is unknown, or an option is invalid.
        StudyError: The study of a warm start does not exist or does not match this one.
    """
    factory = SAMPLERS.find(name)
    if SAMPLERS.is_built_in(name):
        return factory(name, options, context)
    from ratio_hpo.samplers.base import CheckedSampler

    return CheckedSampler(make("sampler", name, factory, options, method="propose"), name)
