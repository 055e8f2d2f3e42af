"""The study: assigns trials, decides on their evaluations and records their ends. The storage is the only truth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ratio_hpo.core.plans import UNPLANNED
from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.pruners.base import ExplainingPruner
from ratio_hpo.samplers.optuna import OptunaSampler
from ratio_hpo.storage import records as rec
from ratio_hpo.storage.guard import guard_study
from ratio_hpo.storage.leases import Lease
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.study.advice import Adviser
from ratio_hpo.study.ask import TrialStarter
from ratio_hpo.study.components import NamedPruner, NamedSampler, PlanTrial, make_components
from ratio_hpo.study.create_or_load import open_study
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.running_trials import RunningTrials, TrialAssignment
from ratio_hpo.study.snapshot import StudyView, response_of, view_of, view_study
from ratio_hpo.study.state import StudyState
from ratio_hpo.study.tell import TrialFinisher
from ratio_hpo.surrogate.response import Response

MAX_ADOPTIONS = 10
"""Driver crashes tolerated per trial without a new evaluation before it is failed. Most crashes have another cause, but
a trial that crashes its driver each time must end."""


class Study:
    """A study that is open in this process.

    Args:
        plan: identity and settings of the study.
        storage: the storage of the study.
        sampler: name and options, or a sampler.
        pruner: name and options, or a pruner.
        settings: settings that may change between runs, recorded for each trial (backend, workers, versions, …).
        plan_trial: returns the plan of a trial from its parameters and seed, or raises an error for invalid ones.
        stored: returns the steps of a stage with stored weights, given its identity.
        known: returns a stored study by name, for a warm start; None looks in this storage.

    Raises:
        StudyError: the study exists with another identity; the message lists the keys that differ.
    """

    plan: StudyPlan
    storage: RetryingStorage
    running: RunningTrials
    state: StudyState

    def __init__(
        self,
        plan: StudyPlan,
        storage: RetryingStorage,
        *,
        sampler: NamedSampler = ("mixture", {}),
        pruner: NamedPruner = ("front", {}),
        settings: Mapping[str, object] | None = None,
        plan_trial: PlanTrial | None = None,
        stored: Callable[[str], Sequence[int]] | None = None,
        known: Callable[[str], StudyView] | None = None,
    ) -> None:
        self.plan, self.storage = plan, storage
        planned = plan_trial or (lambda params, seed: UNPLANNED)
        known = known or partial(view_study, storage)

        def response_and_records(name: str) -> tuple[Response, list[TrialRecord]]:
            view = known(name)
            return response_of(view), view.records

        self._by = make_components(plan, sampler, pruner, planned, response_and_records)
        self._optuna = open_study(plan, storage)
        if isinstance(self._by.sampler, OptunaSampler):
            self._by.sampler.study = self._optuna
        self._guard = guard_study(storage, self._optuna._study_id)
        self.running = RunningTrials(storage)
        self._lock = threading.RLock()
        self.state = StudyState(storage, plan, self._optuna._study_id, self.running, stored)
        self.adviser = Adviser(self._by.response, storage, self._optuna._study_id, idle=bool(plan.replicates))
        self.state.refresh()
        self._finisher = TrialFinisher(storage, self._optuna, self.running, self.state)
        trial_settings = {**dict(zip(("sampler", "pruner"), self._by.names, strict=True)), **(settings or {})}
        self._starter = TrialStarter(self.state, self.running, self._by, self._finisher, planned, trial_settings)
        self._finisher.settle()

    @property
    def target(self) -> float | None:
        """Target score of the cost to target; None until trial 0 is done."""
        return self._finisher.target

    def provenance(self, key: str) -> str | None:
        """Return a stored fact about the origin of the study that is not part of its identity, or None."""
        return self._optuna.user_attrs.get(key)

    def save_provenance(self, key: str, value: str) -> None:
        self.storage.set_study_user_attr(self._optuna._study_id, key, value)

    def records(self) -> list[TrialRecord]:
        """Return the stored records of all trials, by number."""
        with self._lock:
            self.state.refresh()
            return list(self.state.records)

    def is_done(self, most_trials: int) -> bool:
        """Return whether the requested number of trials has been started and all of them have ended."""
        states = [record.state for record in self.records() if record.state is not State.WAITING]
        return len(states) >= most_trials and all(state.finished for state in states)

    def is_exhausted(self) -> bool:
        """Return whether the sampler has no more proposals."""
        return self._starter.is_exhausted()

    def next(self, most_trials: int) -> TrialAssignment | None:
        """Return a trial to run: an orphaned one, a waiting one or a new one; None if there is nothing to do."""
        with self._lock:
            self.state.refresh()
            for number in self.state.numbers(State.RUNNING):
                assignment = self._adopt(number) if number not in self.running else None
                if assignment is not None:
                    return assignment
            return self._starter.next(most_trials)

    def held_elsewhere(self) -> dict[int, Lease]:
        """Return the leases of running trials that other processes hold."""
        with self._lock:
            self.state.refresh()
            running = [n for n in self.state.numbers(State.RUNNING) if not self.state.records[n].done]
            leases = {n: self.state.lease(n) for n in running if n not in self.running}
            return {number: lease for number, lease in leases.items() if lease is not None}

    def report(self, number: int, progress: Progress) -> Decision:
        """Record an evaluation and decide whether the trial continues; a recorded evaluation is ignored.

        Raises:
            ScoreError: it scores other languages than the study, so that means are not comparable.
        """
        with self._lock:
            trial = self.running.get(number)
            if trial is None:
                return Decision.STOP
            if any(point.place == progress.place for point in trial.curve):
                trial.spent_again = trial.curve[-1].spent - trial.spent_before
                return Decision.CONTINUE
            self.state.refresh(at_once=False)
            progress = replace(progress.with_means(), time=progress.time or time.time())
            self.state.check_languages(progress)
            progress = progress.with_spent(progress.spent + trial.spent_again)
            decision = Decision.CONTINUE
            if trial.prunable and not trial.is_end(progress, self.plan):
                record = self.state.records[number]
                changed = replace(record, curve=(*record.curve, progress))
                decision = self._by.pruner.decide(self.state.trials(changed), changed)
            entry = {rec.curve_key(len(trial.curve)): rec.curve_entry(progress, decision)}
            deaths = {rec.ATTEMPTS: 0, rec.ADOPTIONS: 0} if trial.attempts or trial.adoptions else {}
        if not self.running.write(trial, {**entry, **deaths}):  # without the lock, so that other trials can report
            return Decision.STOP
        with self._lock:
            trial.curve.append(progress)
            trial.attempts = trial.adoptions = 0
            if not trial.lost:
                self.state.add(number, progress)
            return decision

    def complete(self, number: int) -> None:
        """Complete a trial that reached its budget; its values are stored once the target is known."""
        with self._lock:
            trial = self.running.pop(number)
            if trial is None:
                return
            if not trial.curve:
                self._finisher.fail(number, trial, "the objective ended without reporting an evaluation", None)
            elif trial.budget is not None and trial.cost < trial.budget:
                spent = f"{trial.cost:,.0f} {self.plan.about.cost_unit}"
                reason = f"the objective ended at a cost of {spent}, but the plan was {trial.budget:,.0f}"
                self._finisher.fail(number, trial, reason, None)
            else:
                self._finisher.done(number, trial)

    def prune(self, number: int) -> None:
        """End a trial that the pruner stopped."""
        with self._lock:
            trial = self.running.pop(number)
            if trial is not None:
                stopped = trial.curve[-1]
                reason = f"pruned by {self._by.names[1]} at {stopped.stage} window {stopped.windows}"
                pruner = self._by.pruner
                why = pruner.why(number) if isinstance(pruner, ExplainingPruner) else None
                self._finisher.prune(number, trial, f"{reason}: {why}" if why else reason)

    def fail(self, number: int, reason: str, trace: str | None) -> None:
        """End a trial that raised an error.

        Raises:
            FirstTrialFailed: the trial is trial 0, and the target depends on it.
        """
        with self._lock:
            trial = self.running.pop(number)
            if trial is not None:
                self._finisher.fail(number, trial, reason, trace)

    def died(self, number: int, how: str, retries: int, *, smaller: bool = False) -> TrialAssignment | None:
        """Return the assignment for restarting a trial whose process died, or fail the trial and return None.

        Args:
            number: number of the trial.
            how: description of how the process ended.
            retries: restarts allowed without a new evaluation.
            smaller: whether the process ran out of memory, so that the next attempt must use less.

        Raises:
            FirstTrialFailed: the trial is trial 0, and the target depends on it.
        """
        with self._lock:
            trial = self.running.get(number)
            if trial is None:
                return None
            if trial.attempts > retries:
                self.fail(number, f"its process died {trial.attempts} times without a new evaluation ({how})", None)
                return None
            trial.attempts += 1
            trial.smaller += smaller
            return trial.assignment(number) if self.running.write(trial, {rec.ATTEMPTS: trial.attempts}) else None

    def close(self) -> None:
        """Release the running trials, and stop renewing their leases."""
        self.running.close()
        self.storage.guards = tuple(guard for guard in self.storage.guards if guard is not self._guard)

    def snapshot(self) -> StudyView:
        """Return a read-only view of the study."""
        return view_of(self.storage, self._optuna, self.records())

    def first_failure(self) -> str | None:
        """Return why trial 0 failed if the target depends on it; None otherwise."""
        return self._finisher.first_failure()

    def _adopt(self, number: int) -> TrialAssignment | None:
        """Take over a running trial that no live process owns."""
        trial_id, lease = self.state.trial_id(number), self.state.lease(number)
        if self.state.records[number].done or (lease is not None and not self.running.watch.is_lost(lease)):
            return None
        claimed = self.running.claim(self._optuna._study_id, trial_id, lease)
        if claimed is None:
            return None
        trial, stored = claimed
        self.state.take_in([stored])
        attributes = stored.attributes
        trial.attempts = int(attributes.get(rec.ATTEMPTS, 1))
        trial.adoptions = int(attributes.get(rec.ADOPTIONS, 0)) + 1
        self.running.write(trial, {rec.ATTEMPTS: trial.attempts, rec.ADOPTIONS: trial.adoptions})
        if rec.PLAN not in attributes:  # the driver died before it wrote the parameters
            return self._starter.begin(number, trial)
        trial.curve, last_decision = rec.read_curve(attributes)
        trial.fill(attributes)
        self.running.add(number, trial)
        if last_decision is Decision.STOP:
            self.prune(number)
            return None
        if trial.adoptions > MAX_ADOPTIONS:
            how = "killed, out of memory, or crashed"
            self.fail(number, f"its driver died {trial.adoptions - 1} times without a new evaluation ({how})", None)
            return None
        return trial.assignment(number)
