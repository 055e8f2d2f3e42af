"""Anchors: the mixtures that every search measures first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Params
from ratio_hpo.data.mixing import SourceSize, by_size, integer_shares, solve, window_ratio
from ratio_hpo.space import Space
from ratio_hpo.study import Anchor
from ratio_hpo.training.parameters import PARAMETERS
from ratio_hpo.training.spec import StagesSpec


def make_anchors(
    names: Iterable[str], stages: StagesSpec, sizes: Mapping[str, SourceSize], space: Space
) -> tuple[Anchor, ...]:
    """Anchors by name in their order; equal mixtures are merged, and what the data lacks is left out.

    Args:
        sizes: of the intermediate stage's sources.
        space: its parameters beside the mixture are set to the reference values.
    """
    reference = reference_params(stages, space)
    merged: dict[tuple[tuple[str, int], ...], tuple[str, Params]] = {}
    for name in names:
        shares = _shares(name, stages, sizes)
        if shares is None:
            continue
        ratio = window_ratio(shares, sizes)
        if stages.intermediate.budget == "add" and not _can_be_added(shares, stages, sizes):
            continue
        key = tuple(integer_shares(shares).items())
        kind = f"{merged[key][0]}+{name}" if key in merged else name
        merged[key] = (kind, {"ratio": min(ratio, 1.0), "shares": shares, **reference})
    return tuple(Anchor(kind=kind, params=params) for kind, params in merged.values())


def reference_params(stages: StagesSpec, space: Space) -> dict[str, Any]:
    """The experiment's own value of each parameter of the space, the mixture aside."""
    wanted = [name for name in space.parameters if name in PARAMETERS]
    return {name: getattr(getattr(stages, PARAMETERS[name][0]), PARAMETERS[name][1]) for name in wanted}


def _can_be_added(shares: Mapping[str, float], stages: StagesSpec, sizes: Mapping[str, SourceSize]) -> bool:
    """Whether `budget: add` takes the shares, in windows."""
    try:
        solve(sizes, stages.intermediate.wanted(), shares=shares)
    except ConfigError:
        return False
    return True


def _shares(name: str, stages: StagesSpec, sizes: Mapping[str, SourceSize]) -> dict[str, float] | None:
    """Shares of an anchor in the stage's unit; None where the data lacks what it needs."""
    stage = stages.intermediate
    wanted = stage.model_copy(update={"budget": "replace"}).wanted()  # its length has no part in its shares
    if name == "english":
        return solve(sizes, wanted, ratio=0.0).asked if any(size.reference for size in sizes.values()) else None
    if name == "non_english":
        others = any(not size.reference for size in sizes.values())
        return solve(sizes, wanted, ratio=1.0).asked if others else None
    if name == "uniform":
        return dict.fromkeys(sizes, 1.0 / len(sizes))
    return by_size(sizes, stage.unit)
