"""Siblings: trials of one mixture that differ in steps alone, where the space asks to read them off (`type: step_sweep`).

Trained in rising order, each goes on from the stored stage of the one before and pays only for what is new: so a
mixture shows the whole trade-off of steps for little more than its longest trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.space import Space, StepSweep
from ratio_hpo.study.front_pruner import MIN_TRIALS, THRESHOLD
from ratio_hpo.study.response import Response


class StepSweeps:
    """Says at which numbers of steps a mixture is trained.

    Args:
        response: makes the model that says where the front may gain.
    """

    def __init__(self, space: Space, response: Response) -> None:
        self._response = response
        self._read_off = {name: d.values for name, d in space.parameters.items() if isinstance(d, StepSweep)}

    def of(self, params: Params, records: Sequence[TrialRecord]) -> list[Params]:
        """A proposal and its siblings that were not tried, in rising order of steps.

        All of them until the model is trusted; then those of whose new points one joins the front with a probability
        that would not stop a trial either.

        Args:
            records: of the trials before the proposal.
        """
        if not self._read_off:
            return [params]
        every = [
            {**params, **{name: int(value) for name, value in zip(self._read_off, steps, strict=True)}}
            for steps in itertools.product(*self._read_off.values())
        ]
        tried = [record.params for record in records]
        family = [each for each in every if each not in tried]
        if params not in family or len(self._response.ended(records)) < MIN_TRIALS:
            return family or [params]
        chances = self._response.model(records).chances(every)
        return [each for each, chance in zip(every, chances.tolist(), strict=True)
                if each in family and (chance >= THRESHOLD or each == params)]  # fmt: skip
