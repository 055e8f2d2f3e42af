"""Interface of objectives, which users implement."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ratio_hpo.core.trial import Context, Params, Progress

Objective = Callable[[Params, Context], Iterator[Progress]]
"""Function that takes parameters and a context and returns a generator of `Progress`; pruning closes the generator."""
