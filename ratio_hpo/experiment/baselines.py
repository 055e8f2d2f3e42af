"""Baselines: the mixtures that every search trains first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import NO_INTERMEDIATE, NO_INTERMEDIATE_PARAM, Params
from ratio_hpo.data.mixing import SourceSize, SpreadRule, by_size, integer_shares, reachable_ratios, window_ratio
from ratio_hpo.data.mixing.solve import shares_within_budget
from ratio_hpo.space import Space
from ratio_hpo.study import Baseline
from ratio_hpo.training.parameters import INTERMEDIATE, Stages, owners, reference_value
from ratio_hpo.training.spec import StageSpec

TASK = "task:"
"""Prefix of the baselines that train on the reference-language data of one task only."""


def make_baselines(
    names: Iterable[str], stages: Stages, sizes: Mapping[str, SourceSize], space: Space
) -> tuple[Baseline, ...]:
    """Return the named baselines in the given order.

    Equal mixtures are merged, and baselines whose data is missing are left out. `none` has no mixture, is never
    merged, and comes after trial 0.

    Args:
        names: Names of baselines.
        stages: Reference configuration of each stage.
        sizes: Sizes of the intermediate stage's sources.
        space: Search space; its parameters other than the mixture take their reference values.
    """
    reference, intermediate = reference_params(stages, space), stages[INTERMEDIATE]
    merged: dict[tuple[tuple[str, int], ...], tuple[str, Params]] = {}
    requested = list(names)
    for name in requested:
        shares = _shares(name, intermediate, sizes) if name != NO_INTERMEDIATE else None
        if shares is None:
            continue
        key = tuple(integer_shares(shares).items())
        kind = f"{merged[key][0]}+{name}" if key in merged else name
        merged[key] = (kind, {"ratio": min(window_ratio(shares, sizes), 1.0), "shares": shares, **reference})
    baselines = [Baseline(kind=kind, params=params) for kind, params in merged.values()]
    if NO_INTERMEDIATE in requested:
        targets = {name: v for name, v in reference.items() if owners(name, stages)[0][0] != INTERMEDIATE}
        baselines.insert(1, Baseline(kind=NO_INTERMEDIATE, params={NO_INTERMEDIATE_PARAM: True, **targets}))
    return tuple(baselines)


def reference_params(stages: Stages, space: Space) -> Params:
    """Return the experiment's reference value of each parameter of the space, without the mixture."""
    return {name: reference_value(name, stages) for name in space.parameters if owners(name, stages)}


def check_baselines(names: Iterable[str], tasks: Iterable[str]) -> None:
    """Check that every `task:<name>` baseline names a task of an intermediate source.

    Raises:
        ConfigError: A baseline names another task.
    """
    labelled = sorted(set(tasks) - {"mlm"})
    unknown = [name for name in names if name.startswith(TASK) and name.removeprefix(TASK) not in labelled]
    if unknown:
        raise ConfigError(
            f"baselines: {unknown[0]} names no labelled task of the intermediate stage; use one of {labelled}"
        )


def _shares(name: str, stage: StageSpec, sizes: Mapping[str, SourceSize]) -> dict[str, float] | None:
    """Return the shares of all sources in the stage's unit, or None if data is missing or the budget excludes them."""
    mixture_spec = stage.mixture_spec()
    labelled = {key: size for key, size in sizes.items() if not size.auxiliary}
    if name in ("reference_only", "non_reference_only"):
        reference_flags = {size.reference for size in labelled.values()}
        if (name == "reference_only") not in reference_flags:
            return None
        low, high = reachable_ratios(labelled, mixture_spec) if stage.balance == "task" else (0.0, 1.0)
        return shares_within_budget(sizes, mixture_spec, ratio=low if name == "reference_only" else high)
    if name == "uniform":
        weights = dict.fromkeys(labelled, 1.0 / len(labelled))
    elif name.startswith(TASK):
        of_task = {k: s for k, s in labelled.items() if s.task == name.removeprefix(TASK) and s.reference}
        if not of_task:
            return None
        weights = by_size(of_task, mixture_spec)
    elif name == "all_tasks":
        reference = {key: size for key, size in labelled.items() if size.reference}
        if not reference:
            return None
        weights = by_size(reference, SpreadRule(unit=mixture_spec.unit, size_cap=stage.size_cap or ALL_TASKS_CAP))
    else:
        weights = by_size(labelled, mixture_spec)
    return shares_within_budget(sizes, mixture_spec, shares=weights)


ALL_TASKS_CAP = 131_072
"""Size cap of each task in `all_tasks`, in examples (Phang et al. 2020, section 3; Raffel et al. 2020)."""
