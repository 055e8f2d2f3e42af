"""End trials: complete them with values once the target is known, prune them, or fail them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import optuna
from optuna.trial import TrialState

from ratio_hpo.core.errors import FirstTrialFailed
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.metrics.front import curve_points
from ratio_hpo.storage import records as rec
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.storage.schema import End, put_end
from ratio_hpo.study.create_or_load import resolve_target
from ratio_hpo.study.running_trials import RunningTrial, RunningTrials
from ratio_hpo.study.state import StudyState

CENSORED = 2.0
"""Cost to target of a trial that never reached the target, in multiples of the largest cost, for samplers."""


class TrialFinisher:
    """Writes the ends of trials, and updates the study state."""

    target: float | None

    def __init__(
        self, storage: RetryingStorage, study: optuna.Study, running: RunningTrials, state: StudyState
    ) -> None:
        self._storage, self._optuna, self._running_trials, self._state = storage, study, running, state
        self._plan = state.plan
        self.target = study.user_attrs.get("target")

    def done(self, number: int, claim: RunningTrial) -> None:
        """Complete a trial that has done all its work, or mark it as done until the target is known."""
        if self.target is not None:
            self._end(number, claim, {rec.DONE: True}, State.COMPLETE, self._values(self._state.records[number]))
        else:
            self._running_trials.finish(claim, {rec.DONE: True}, None)
            self._state.refresh()
        self.settle()

    def prune(self, number: int, claim: RunningTrial, reason: str) -> None:
        """End a trial that the pruner stopped."""
        self._end(number, claim, {rec.REASON: reason}, State.PRUNED)

    def fail(self, number: int, claim: RunningTrial, reason: str, trace: str | None) -> None:
        """End a trial that raised an error.

        Raises:
            FirstTrialFailed: the trial is trial 0, and the target depends on it.
        """
        ended = self._end(number, claim, {rec.REASON: reason, rec.TRACEBACK: trace}, State.FAIL)
        if ended and number == 0 and self.target is None:
            raise FirstTrialFailed(f"trial 0, which sets the target, failed: {reason}")

    def settle(self) -> None:
        """Complete the trials that have done all their work and waited for the target."""
        if self.target is None:
            self.target = resolve_target(self._optuna, self._plan.target, self._state.records)
        if self.target is None:
            return
        running = [self._state.records[number] for number in self._state.numbers(State.RUNNING)]
        waiting = [record for record in running if record.done]
        for record in waiting:
            end = End(TrialState.COMPLETE, self._values(record))
            write_end = partial(put_end, trial_id=self._state.trial_id(record.number), end=end)
            self._storage.run(write_end)  # harmless if another driver completes it too
        if waiting:
            self._state.refresh()

    def first_failure(self) -> str | None:
        """Return why trial 0 failed if the target depends on it; None otherwise."""
        first = self._state.records[:1]
        if self.target is not None or not first or first[0].state is not State.FAIL:
            return None
        return first[0].reason or "unknown reason"

    def _values(self, record: TrialRecord) -> list[float]:
        """Return the objective values of a done trial: its last score and its cost to target."""
        assert self.target is not None
        points = curve_points(record)
        return [points[-1][1], min(cost_to_target(points, self.target), CENSORED * self._plan.largest_cost)]

    def _end(
        self,
        number: int,
        trial: RunningTrial,
        attributes: rec.Attributes,
        state: State,
        values: Sequence[float] = (),
    ) -> bool:
        """Write the end of a trial; return False if this process no longer owns it."""
        end = End(TrialState[state.name], values)
        if not self._running_trials.finish(trial, attributes, end):
            self._state.refresh()
            return False
        self._state.end(
            number,
            state=state,
            done=bool(attributes.get(rec.DONE)),
            values=tuple(values) or None,
            reason=attributes.get(rec.REASON),
            traceback=attributes.get(rec.TRACEBACK),
            ended=end.moment.timestamp(),
            worker=None,
        )
        return True
