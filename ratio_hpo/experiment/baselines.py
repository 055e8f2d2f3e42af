"""Baselines: the mixtures that every search measures first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import NO_INTERMEDIATE, NO_INTERMEDIATE_PARAM, Params
from ratio_hpo.data.mixing import SourceSize, SpreadRule, by_size, integer_shares, reachable_ratios, solve, window_ratio
from ratio_hpo.space import Space
from ratio_hpo.study import Baseline
from ratio_hpo.training.parameters import INTERMEDIATE, Stages, owners, reference_value
from ratio_hpo.training.spec import StageSpec

TASK = "task:"
"""Begins the name of a baseline of one task's reference-language data alone."""


def make_baselines(
    names: Iterable[str], stages: Stages, sizes: Mapping[str, SourceSize], space: Space
) -> tuple[Baseline, ...]:
    """Baselines by name in their order; equal mixtures are merged, and what the data lacks is left out.

    `none` has no mixture, is never merged, and comes after trial 0.

    Args:
        sizes: of the intermediate stage's sources.
        space: its parameters beside the mixture are set to the reference values.
    """
    reference, intermediate = reference_params(stages, space), stages[INTERMEDIATE]
    merged: dict[tuple[tuple[str, int], ...], tuple[str, Params]] = {}
    wanted = list(names)
    for name in wanted:
        shares = _shares(name, intermediate, sizes) if name != NO_INTERMEDIATE else None
        if shares is None:
            continue
        ratio = window_ratio(shares, sizes)
        if intermediate.budget == "add" and not _can_be_added(shares, intermediate, sizes):
            continue
        key = tuple(integer_shares(shares).items())
        kind = f"{merged[key][0]}+{name}" if key in merged else name
        merged[key] = (kind, {"ratio": min(ratio, 1.0), "shares": shares, **reference})
    baselines = [Baseline(kind=kind, params=params) for kind, params in merged.values()]
    if NO_INTERMEDIATE in wanted:
        targets = {name: v for name, v in reference.items() if owners(name, stages)[0][0] != INTERMEDIATE}
        baselines.insert(1, Baseline(kind=NO_INTERMEDIATE, params={NO_INTERMEDIATE_PARAM: True, **targets}))
    return tuple(baselines)


def reference_params(stages: Stages, space: Space) -> dict[str, Any]:
    """The experiment's own value of each parameter of the space, the mixture aside."""
    return {name: reference_value(name, stages) for name in space.parameters if owners(name, stages)}


def check_baselines(names: Iterable[str], tasks: Iterable[str]) -> None:
    """Refuse baselines of tasks that are in no intermediate source.

    Raises:
        ConfigError: one line.
    """
    known = sorted(set(tasks) - {"mlm"})
    odd = [name for name in names if name.startswith(TASK) and name.removeprefix(TASK) not in known]
    if odd:
        raise ConfigError(f"baselines: {odd[0]} names no labelled task of the intermediate stage; known: {known}")


def _can_be_added(shares: Mapping[str, float], stage: StageSpec, sizes: Mapping[str, SourceSize]) -> bool:
    """Whether `budget: add` takes the shares, in windows."""
    try:
        solve(sizes, stage.wanted(), shares=shares)
    except ConfigError:
        return False
    return True


def _shares(name: str, stage: StageSpec, sizes: Mapping[str, SourceSize]) -> dict[str, float] | None:
    """Shares of a baseline in the stage's unit, of all sources; None where the data lacks what it needs."""
    wanted = stage.model_copy(update={"budget": "replace"}).wanted()  # its length has no part in its shares
    labelled = {key: size for key, size in sizes.items() if not size.auxiliary}
    split = wanted.split
    if name in ("reference_only", "non_reference_only"):
        sides = {size.reference for size in labelled.values()}
        if (name == "reference_only") not in sides:
            return None
        low, high = reachable_ratios(labelled, split) if stage.balance == "task" else (0.0, 1.0)
        return solve(sizes, wanted, ratio=low if name == "reference_only" else high).requested
    if name == "uniform":
        among = dict.fromkeys(labelled, 1.0 / len(labelled))
    elif name.startswith(TASK):
        own = {k: s for k, s in labelled.items() if s.task == name.removeprefix(TASK) and s.reference}
        if not own:
            return None
        among = by_size(own, split)
    elif name == "all_tasks":
        reference = {key: size for key, size in labelled.items() if size.reference}
        if not reference:
            return None
        among = by_size(reference, SpreadRule(unit=split.unit, size_cap=stage.size_cap or ALL_TASKS_CAP))
    else:
        among = by_size(labelled, split)
    return solve(sizes, wanted, shares=among).requested


ALL_TASKS_CAP = 131_072
"""A task counts as no larger than that in `all_tasks` (Phang et al. 2020, section 3; Raffel et al. 2020)."""
