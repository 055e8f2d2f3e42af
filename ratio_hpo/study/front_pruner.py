"""The `front` pruner: a trial whose later points will hardly join the anytime front is not worth going on with.

It stops on evidence, not by quota: where all trials are good, none is stopped. The response model, which has seen the
curve so far, says how probable it is that any later point joins the front that the other trials have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ratio_hpo.core.config import check_options as check_names
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.study.response import Response, shown

THRESHOLD = 0.1
"""Probability of joining the front below which a trial is stopped."""

MIN_TRIALS = 6
"""Trials that must have ended before the model is trusted."""

DEFAULTS = {"threshold": THRESHOLD, "least_trials": MIN_TRIALS}


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that the pruner does not take.

    Raises:
        ConfigError: one line.
    """
    check_names("pruner: front", options, list(DEFAULTS))
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise ConfigError(f"pruner: front: {name} needs a number from 0 on, but got {value!r}; correct it")
    if options.get("threshold", THRESHOLD) >= 1:
        raise ConfigError(f"pruner: front: threshold needs a number below 1, but got {options['threshold']}; lower it")


class FrontPruner:
    """The pruner.

    Args:
        records: all trials so far.

    Raises:
        ConfigError: options that it does not take.
    """

    def __init__(
        self, options: Mapping[str, Any], response: Response, records: Callable[[], Sequence[TrialRecord]]
    ) -> None:
        check_options(options)
        chosen = {**DEFAULTS, **options}
        self._threshold, self._least = float(chosen["threshold"]), int(chosen["least_trials"])
        self._response, self._records = response, records
        self._reasons: dict[int, str] = {}

    def observe(self, number: int, progress: Progress) -> None:
        """Nothing to do: the model reads the study."""

    def follow(self, number: int, progress: Progress) -> None:
        """Nothing to do either."""

    def decide(self, number: int, progress: Progress) -> Decision:
        """Whether the trial goes on; between scores of all targets nothing is decided."""
        records = shown(self._records(), number, progress)
        if (
            not progress.has_primary_score
            or len(self._response.ended(records)) < self._least
            or not self._response.learned([records[number]])
        ):
            return Decision.CONTINUE
        improvement = self._response.model(records).improvement_chance(number)
        if improvement.chance >= self._threshold:
            return Decision.CONTINUE
        above = f"; trial {improvement.rival} is ahead" if improvement.rival is not None else ""
        self._reasons[number] = f"a later point joins the front with probability {improvement.chance:.2g}{above}"
        return Decision.STOP

    def close(self, number: int, state: State) -> None:
        """Nothing to do."""

    def why(self, number: int) -> str | None:
        """Why the trial was stopped; None where this process did not stop it."""
        return self._reasons.get(number)
