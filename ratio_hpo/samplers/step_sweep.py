"""Step sweeps: trials that differ only in steps, requested by a domain of `type: step_sweep`.

They are trained in ascending order of steps, and each resumes from the stored stage of the previous one. So all numbers
of steps of a mixture together cost little more than the longest trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.space import Space, StepSweep
from ratio_hpo.surrogate.response import MIN_JOINING, MIN_TRIALS, Response


class StepSweeps:
    """Chooses the numbers of steps at which a mixture is trained.

    Args:
        space: the search space.
        response: builds the model that predicts which points improve the front.
    """

    def __init__(self, space: Space, response: Response) -> None:
        self._response = response
        self._sweep_steps = {name: d.values for name, d in space.parameters.items() if isinstance(d, StepSweep)}

    def of(self, params: Params, records: Sequence[TrialRecord]) -> list[Params]:
        """Return the untried trials of a proposal's step sweep, the proposal included, in ascending order of steps.

        All of them are returned until the model has enough trials. After that, a trial is kept if the probability
        that one of its new points joins the front reaches the threshold of the front pruner.

        Args:
            params: the proposal.
            records: trials before the proposal.
        """
        if not self._sweep_steps:
            return [params]
        sweep = [
            {**params, **{name: int(value) for name, value in zip(self._sweep_steps, steps, strict=True)}}
            for steps in itertools.product(*self._sweep_steps.values())
        ]
        tried = [record.params for record in records]
        untried = [trial_params for trial_params in sweep if trial_params not in tried]
        if params not in untried or len(self._response.ended(records)) < MIN_TRIALS:
            return untried or [params]
        chances = self._response.model(records).chances(sweep)
        return [trial_params for trial_params, chance in zip(sweep, chances.tolist(), strict=True)
                if trial_params in untried and (chance >= MIN_JOINING or trial_params == params)]  # fmt: skip
