"""Mixtures of sources: the source and the example of the n-th draw are a pure function of (mixture, seed, n)."""

from ratio_hpo.data.mixing.draw import WHOLE, DrawTree, integer_shares
from ratio_hpo.data.mixing.shares import (
    SPREADS,
    SourceSize,
    SpreadRule,
    by_size,
    reachable_ratios,
    spread_shares,
    token_shares,
    window_ratio,
)
from ratio_hpo.data.mixing.solve import MixtureSpec, StageMixture, solve
from ratio_hpo.data.mixing.stream import Mixture, MixtureStream, Segment

__all__ = [
    "SPREADS",
    "WHOLE",
    "DrawTree",
    "Mixture",
    "MixtureSpec",
    "MixtureStream",
    "Segment",
    "SourceSize",
    "SpreadRule",
    "StageMixture",
    "by_size",
    "integer_shares",
    "reachable_ratios",
    "solve",
    "spread_shares",
    "token_shares",
    "window_ratio",
]
