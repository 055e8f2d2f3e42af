"""The one interface that users extend."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ratio_hpo.core.trial import Context, Params, Progress

Objective = Callable[[Params, Context], Iterator[Progress]]
"""What users extend: a generator of progress. Pruning closes it."""
