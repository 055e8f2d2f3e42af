"""Anchors: the mixtures that every search measures first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ratio_hpo.core.trial import Params
from ratio_hpo.data.mixing import SourceSize, by_size, integer_shares, spread_shares
from ratio_hpo.space import Space
from ratio_hpo.study import Anchor
from ratio_hpo.training.parameters import PARAMETERS
from ratio_hpo.training.spec import MOST_ADDED_RATIO, StagesSpec


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
        ratio = sum(share for key, share in shares.items() if not sizes[key].reference)
        if stages.intermediate.budget == "add" and ratio > MOST_ADDED_RATIO:
            continue
        key = tuple(integer_shares(shares).items())
        kind = f"{merged[key][0]}+{name}" if key in merged else name
        merged[key] = (kind, {"ratio": min(ratio, 1.0), "shares": shares, **reference})
    return tuple(Anchor(kind=kind, params=params) for kind, params in merged.values())


def reference_params(stages: StagesSpec, space: Space) -> dict[str, Any]:
    """The experiment's own value of each parameter of the space, the mixture aside."""
    wanted = [name for name in space.parameters if name in PARAMETERS]
    return {name: getattr(getattr(stages, PARAMETERS[name][0]), PARAMETERS[name][1]) for name in wanted}


def _shares(name: str, stages: StagesSpec, sizes: Mapping[str, SourceSize]) -> dict[str, float] | None:
    stage = stages.intermediate
    english = [key for key, size in sizes.items() if size.reference]
    others = [key for key, size in sizes.items() if not size.reference]
    draws = stage.steps * stage.batch_size
    if name == "english":
        return spread_shares(sizes, 0.0, stage.spread, unit=stage.unit) if english else None
    if name == "non_english":
        if not others:
            return None
        return spread_shares(sizes, 1.0, stage.spread, draws=draws, temperature=stage.temperature, unit=stage.unit)
    if name == "uniform":
        return dict.fromkeys(sizes, 1.0 / len(sizes))
    return by_size(sizes, stage.unit)
