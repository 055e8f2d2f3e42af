"""The `front` pruner: stop a trial whose later points are unlikely to join the anytime front.

The pruner has no quota: if all trials are good, it stops none. The response model is fitted to the curve so far, and
predicts the probability that any later point joins the front of the other trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.core.yaml import check_options as check_names
from ratio_hpo.surrogate.response import Response, shown

THRESHOLD = 0.1
"""Stop a trial whose probability of joining the front is below this."""

MIN_TRIALS = 6
"""Number of ended trials that the model needs before the pruner stops any."""

DEFAULTS = {"threshold": THRESHOLD, "least_trials": MIN_TRIALS}


def check_options(options: Mapping[str, Any]) -> None:
    """Check the options of the pruner.

    Raises:
        ConfigError: an option is unknown or invalid.
    """
    check_names("pruner: front", options, list(DEFAULTS))
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise ConfigError(f"pruner: front: {name} must be a number >= 0, but got {value!r}")
    if options.get("threshold", THRESHOLD) >= 1:
        raise ConfigError(f"pruner: front: threshold must be a number < 1, but got {options['threshold']}")


class FrontPruner:
    """A pruner that stops trials which are unlikely to join the front.

    Args:
        options: `threshold` and `least_trials`; missing ones have the values of `DEFAULTS`.
        response: builds the response model.
        records: returns all trials of the study.

    Raises:
        ConfigError: an option is unknown or invalid.
    """

    def __init__(
        self, options: Mapping[str, Any], response: Response, records: Callable[[], Sequence[TrialRecord]]
    ) -> None:
        check_options(options)
        chosen = {**DEFAULTS, **options}
        self._threshold, self._min_trials = float(chosen["threshold"]), int(chosen["least_trials"])
        self._response, self._records = response, records
        self._reasons: dict[int, str] = {}

    def observe(self, number: int, progress: Progress) -> None:
        """Do nothing: the model reads the study."""

    def follow(self, number: int, progress: Progress) -> None:
        """Do nothing: the model reads the study."""

    def decide(self, number: int, progress: Progress) -> Decision:
        """Decide whether the trial continues; an evaluation without a primary score never stops it."""
        records = shown(self._records(), number, progress)
        if (
            not progress.has_primary_score
            or len(self._response.ended(records)) < self._min_trials
            or not self._response.learned([records[number]])
        ):
            return Decision.CONTINUE
        improvement = self._response.model(records).improvement_chance(number)
        if improvement.chance >= self._threshold:
            return Decision.CONTINUE
        rival = f"; trial {improvement.rival} is ahead" if improvement.rival is not None else ""
        self._reasons[number] = f"a later point joins the front with probability {improvement.chance:.2g}{rival}"
        return Decision.STOP

    def close(self, number: int, state: State) -> None:
        """Do nothing."""

    def why(self, number: int) -> str | None:
        """Return why the trial was stopped; None if this process did not stop it."""
        return self._reasons.get(number)
