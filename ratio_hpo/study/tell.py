"""How trials end: told with their values once the target is known, pruned, or failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.trial import TrialState

from ratio_hpo.core.errors import FirstTrialFailed
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.study import records as rec
from ratio_hpo.study.create_or_load import resolve_target
from ratio_hpo.study.front import curve_points
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.pruning import Pruner
from ratio_hpo.study.retrying_storage import RetryingStorage
from ratio_hpo.study.running_trials import RunningTrial, RunningTrials
from ratio_hpo.study.state import StudyState
from ratio_hpo.study.tables import End, put_end

CENSORED = 2.0
"""What samplers are told of a trial that never reached the target: this many times the largest cost."""


class TrialFinisher:
    """Writes the ends of trials; the pruner and the picture of the study learn of them.

    Args:
        look: takes in what was stored.
    """

    target: float | None

    def __init__(
        self,
        plan: StudyPlan,
        storage: RetryingStorage,
        study: optuna.Study,
        claims: RunningTrials,
        view: StudyState,
        pruner: Pruner,
        look: Callable[[], None],
    ) -> None:
        self._plan, self._storage, self._optuna, self._claims = plan, storage, study, claims
        self._view, self._pruner, self._look = view, pruner, look
        self.target = study.user_attrs.get("target")

    def done(self, number: int, claim: RunningTrial) -> None:
        """The trial did all its work; it is told now, or when the target is known."""
        if self.target is not None:
            self._end(number, claim, {rec.DONE: True}, State.COMPLETE, self._values(self._view.records[number]))
        else:
            if self._claims.finish(claim, {rec.DONE: True}, None):
                self._pruner.close(number, State.COMPLETE)
            self._look()
        self.settle()

    def prune(self, number: int, claim: RunningTrial, reason: str) -> None:
        """The pruner has stopped the trial."""
        self._end(number, claim, {rec.REASON: reason}, State.PRUNED)

    def fail(self, number: int, claim: RunningTrial, reason: str, trace: str | None) -> None:
        """The trial ended in an error.

        Raises:
            FirstTrialFailed: it was trial 0, and the target hangs on it.
        """
        ended = self._end(number, claim, {rec.REASON: reason, rec.TRACEBACK: trace}, State.FAIL)
        if ended and number == 0 and self.target is None:
            raise FirstTrialFailed(f"trial 0, which sets the target, failed: {reason}")

    def settle(self) -> None:
        """Tell the trials that did all their work and waited for the target."""
        if self.target is None:
            self.target = resolve_target(self._optuna, self._plan.target, self._view.records)
        if self.target is None:
            return
        running = [self._view.records[number] for number in self._view.numbers(State.RUNNING)]
        waiting = [record for record in running if record.done]
        for record in waiting:
            end = End(TrialState.COMPLETE, self._values(record))
            told = partial(put_end, trial_id=self._view.trial_id(record.number), end=end)
            self._storage.run(told)  # another driver may tell it too
        if waiting:
            self._look()

    def first_failure(self) -> str | None:
        """Why trial 0 failed, where the target hangs on it."""
        first = self._view.records[:1]
        if self.target is not None or not first or first[0].state is not State.FAIL:
            return None
        return first[0].reason or "unknown reason"

    def _values(self, record: TrialRecord) -> list[float]:
        """What samplers are told of a trial that is done: its last score, and what it cost to reach the target."""
        assert self.target is not None
        points = curve_points(record)
        return [points[-1][1], min(cost_to_target(points, self.target), CENSORED * self._plan.largest_cost)]

    def _end(
        self, number: int, claim: RunningTrial, about: Mapping[str, Any], state: State, values: Sequence[float] = ()
    ) -> bool:
        """Write an end; False where the trial is not ours any more."""
        end = End(TrialState[state.name], values)
        if not self._claims.finish(claim, about, end):
            self._look()
            return False
        self._pruner.close(number, state)
        self._view.end(
            number,
            state=state,
            done=bool(about.get(rec.DONE)),
            values=tuple(values) or None,
            reason=about.get(rec.REASON),
            traceback=about.get(rec.TRACEBACK),
            ended=end.moment.timestamp(),
            worker=None,
        )
        return True
