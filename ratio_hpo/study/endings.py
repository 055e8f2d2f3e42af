"""How trials end: told with their values once the target is known, pruned, or failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from ratio_hpo.core.errors import FirstTrialFailed
from ratio_hpo.core.trial import State
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.study import records as rec
from ratio_hpo.study.front import curve_points
from ratio_hpo.study.live import LiveView
from ratio_hpo.study.opening import resolve_target
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.pruning import Pruner
from ratio_hpo.study.tables import write_attributes

CENSORED = 2.0
"""What samplers are told of a trial that never reached the target: this many times the largest cost."""


class Endings:
    """Writes the ends of trials; the pruner and the picture of the study learn of them.

    Args:
        look: takes in what was stored.
    """

    target: float | None

    def __init__(
        self,
        plan: StudyPlan,
        storage: RDBStorage,
        study: optuna.Study,
        view: LiveView,
        pruner: Pruner,
        look: Callable[[], None],
    ) -> None:
        self._plan, self._storage, self._optuna = plan, storage, study
        self._view, self._pruner, self._look = view, pruner, look
        self.target = study.user_attrs.get("target")

    def done(self, number: int, trial_id: int) -> None:
        """The trial did all its work; it is told now, or when the target is known."""
        write_attributes(self._storage, trial_id, {rec.DONE: True})
        self._pruner.close(number, State.COMPLETE)
        self._look()
        self.settle()

    def prune(self, number: int, trial_id: int, reason: str) -> None:
        """The pruner has stopped the trial."""
        write_attributes(self._storage, trial_id, {rec.REASON: reason})
        self._end(trial_id, number, State.PRUNED, None)

    def fail(self, number: int, trial_id: int, reason: str, trace: str | None) -> None:
        """The trial ended in an error.

        Raises:
            FirstTrialFailed: it was trial 0, and the target hangs on it.
        """
        write_attributes(self._storage, trial_id, {rec.REASON: reason, rec.TRACEBACK: trace})
        self._end(trial_id, number, State.FAIL, None)
        if number == 0 and self.target is None:
            raise FirstTrialFailed(f"trial 0, which sets the target, failed: {reason}")

    def settle(self) -> None:
        """Tell the trials that did all their work and waited for the target."""
        if self.target is None:
            self.target = resolve_target(self._optuna, self._plan.target, self._view.records)
        if self.target is None:
            return
        running = [self._view.records[number] for number in self._view.numbers(State.RUNNING)]
        for record in [record for record in running if record.done]:
            points = curve_points(record)
            cost = min(cost_to_target(points, self.target), CENSORED * self._plan.largest_cost)
            self._end(self._view.trial_id(record.number), record.number, State.COMPLETE, [points[-1][1], cost])

    def first_failure(self) -> str | None:
        """Why trial 0 failed, where the target hangs on it."""
        first = self._view.records[:1]
        if self.target is not None or not first or first[0].state is not State.FAIL:
            return None
        return first[0].reason or "unknown reason"

    def _end(self, trial_id: int, number: int, state: State, values: list[float] | None) -> None:
        self._pruner.close(number, state)
        with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another driver has told the same end
            self._storage.set_trial_state_values(trial_id, TrialState[state.name], values)
        self._look()
