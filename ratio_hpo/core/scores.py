"""Names of splits and of scores."""

from __future__ import annotations

from collections.abc import Mapping

PRUNE, SELECT, TEST = "prune", "select", "test"
"""The splits of what trials are scored on."""

HEADLINE = "score/mean"
"""Key of the score that trials are compared by."""

ERROR = "score_error"
"""Key of the standard error of that score over the items that it was measured on."""

OVER_LANGUAGES = ("/mean", "/worst")
"""How scores end that are over all languages."""


def languages_of(scores: Mapping[str, float], prefix: str) -> dict[str, float]:
    """The scores under `prefix` that are of one language, not of all."""
    return {k[len(prefix) :]: v for k, v in scores.items() if k.startswith(prefix) and not k.endswith(OVER_LANGUAGES)}
