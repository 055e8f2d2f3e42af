"""The `front` pruner: stop a trial whose later points are unlikely to join the anytime front.

The pruner has no quota: if all trials are good, it stops none. The response model is fitted to the curve so far, and
predicts the probability that any later point joins the front of the other trials.
"""

from __future__ import annotations

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.extensions import Options
from ratio_hpo.core.trial import Decision, TrialRecord
from ratio_hpo.core.yaml import check_options as check_names
from ratio_hpo.pruners.base import PrunerContext
from ratio_hpo.surrogate.response import MIN_JOINING, MIN_TRIALS, Response
from ratio_hpo.surrogate.trials import Trials

DEFAULTS = {"threshold": MIN_JOINING, "least_trials": MIN_TRIALS}
"""Default options: stop a trial whose probability of joining the front is below `threshold`, once `least_trials` trials
have ended."""


def check_options(options: Options) -> None:
    """Check the options of the pruner.

    Raises:
        ConfigError: an option is unknown or invalid.
    """
    check_names("pruner: front", options, list(DEFAULTS))
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise ConfigError(f"pruner: front: {name} must be a number >= 0, but got {value!r}")
    if options.get("threshold", MIN_JOINING) >= 1:
        raise ConfigError(f"pruner: front: threshold must be a number < 1, but got {options['threshold']}")


def make_front(name: str, options: Options, context: PrunerContext) -> FrontPruner:
    """Return the pruner of a study."""
    return FrontPruner(options, context.response)


class FrontPruner:
    """A pruner that stops trials which are unlikely to join the front.

    Args:
        options: `threshold` and `least_trials`; missing ones have the values of `DEFAULTS`.
        response: builds the response model.

    Raises:
        ConfigError: an option is unknown or invalid.
    """

    def __init__(self, options: Options, response: Response) -> None:
        check_options(options)
        chosen = {**DEFAULTS, **options}
        self._threshold, self._min_trials = float(chosen["threshold"]), int(chosen["least_trials"])
        self._response = response
        self._reasons: dict[int, str] = {}

    def decide(self, trials: Trials, trial: TrialRecord) -> Decision:
        """Decide whether the trial continues; an evaluation without a primary score never stops it."""
        if (
            not trial.curve[-1].has_primary_score
            or len(self._response.ended(trials.records)) < self._min_trials
            or not self._response.learned([trial])
        ):
            return Decision.CONTINUE
        improvement = self._response.model(trials.records).improvement_chance(trial.number)
        if improvement.chance >= self._threshold:
            return Decision.CONTINUE
        rival = f"; trial {improvement.rival} is ahead" if improvement.rival is not None else ""
        self._reasons[trial.number] = f"a later point joins the front with probability {improvement.chance:.2g}{rival}"
        return Decision.STOP

    def why(self, number: int) -> str | None:
        """Return why the trial was stopped; None if this process did not stop it."""
        return self._reasons.get(number)
