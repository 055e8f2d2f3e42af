"""The study: asks for parameters, answers progress with decisions, records ends. The storage is the only truth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ratio_hpo.core.plans import UNPLANNED
from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.study import records as rec
from ratio_hpo.study.advice import Adviser
from ratio_hpo.study.ask import PlanTrial, TrialStarter
from ratio_hpo.study.create_or_load import open_study
from ratio_hpo.study.guard import guard_study
from ratio_hpo.study.leases import Lease
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.registry import make_components
from ratio_hpo.study.retrying_storage import RetryingStorage
from ratio_hpo.study.running_trials import RunningTrials, TrialAssignment
from ratio_hpo.study.state import StudyState
from ratio_hpo.study.tell import TrialFinisher
from ratio_hpo.study.view import StudyView, view_of, view_study
from ratio_hpo.study.warm_start import Known

MAX_ADOPTIONS = 10
"""Drivers that may die over a trial without a new evaluation: most die of something else, but a trial that kills its
driver each time must end some day."""


class Study:
    """A study, open in this process.

    Args:
        sampler, pruner: name, and options.
        settings: what may change on the way, recorded for each trial (backend, workers, versions, …).
        plan_trial: what parameters come to; raises what it refuses.
        stored: the steps of a stage, by its identity, whose weights are stored here.
        known: stored studies, by name, that a sampler may learn from; None: those of this storage.

    Raises:
        StudyError: it is there with another identity; the message lists the keys that differ.
    """

    plan: StudyPlan
    storage: RetryingStorage
    live: RunningTrials
    view: StudyState

    def __init__(
        self,
        plan: StudyPlan,
        storage: RetryingStorage,
        *,
        sampler: tuple[str, Mapping[str, Any]] = ("mixture", {}),
        pruner: tuple[str, Mapping[str, Any]] = ("front", {}),
        settings: Mapping[str, Any] | None = None,
        plan_trial: PlanTrial | None = None,
        stored: Callable[[str], Sequence[int]] | None = None,
        known: Known | None = None,
    ) -> None:
        self.plan, self.storage = plan, storage
        self._pruned_by = pruner[0]
        planned = plan_trial or (lambda params, seed: UNPLANNED)
        known = known or partial(view_study, storage)
        self._by = make_components(plan, sampler, pruner, planned, lambda: self.view.records, known)
        self._optuna = open_study(plan, storage)
        self._guard = guard_study(storage, self._optuna._study_id)
        self.live = RunningTrials(storage)
        self._lock = threading.RLock()
        self.view = StudyState(storage, self._optuna, stored)
        self.adviser = Adviser(self._by.response, storage, self._optuna._study_id, idle=bool(plan.replicates))
        self._look()
        self._endings = TrialFinisher(plan, storage, self._optuna, self.live, self.view, self._by.pruner, self._look)
        of_each = {"sampler": sampler[0], "pruner": pruner[0], **(settings or {})}
        self._beginnings = TrialStarter(
            plan, self._optuna._study_id, self._by.sampler, self._by.step_sweeps, self.live, self.view, self._endings,
            planned, of_each, self._look,
        )  # fmt: skip
        self._endings.settle()

    @property
    def target(self) -> float | None:
        """The mean F1 that trials are timed to; None until trial 0 is done."""
        return self._endings.target

    def provenance(self, key: str) -> str | None:
        """What was stored of where the study comes from, which is no part of what it is."""
        return self._optuna.user_attrs.get(key)

    def save_provenance(self, key: str, value: str) -> None:
        self.storage.set_study_user_attr(self._optuna._study_id, key, value)

    def records(self) -> list[TrialRecord]:
        """All trials, by number, as they are stored."""
        with self._lock:
            self._look()
            return list(self.view.records)

    def is_done(self, most_trials: int) -> bool:
        """Whether the asked number of trials is there, and none of them waits to be worked on."""
        states = [record.state for record in self.records() if record.state is not State.WAITING]
        return len(states) >= most_trials and all(state.finished for state in states)

    def is_exhausted(self) -> bool:
        """Whether the sampler has nothing left to propose."""
        return self._by.sampler.exhausted(self.view)

    def next(self, most_trials: int) -> TrialAssignment | None:
        """A trial to work on: an orphaned one, a waiting one, or a new one; None where there is nothing to do."""
        with self._lock:
            self._look()
            for number in self.view.numbers(State.RUNNING):
                job = self._adopt(number) if number not in self.live else None
                if job is not None:
                    return job
            return self._beginnings.next(most_trials)

    def held_elsewhere(self) -> dict[int, Lease]:
        """Leases of running trials that others hold."""
        with self._lock:
            self._look()
            running = [n for n in self.view.numbers(State.RUNNING) if not self.view.records[n].done]
            leases = {n: self.view.lease(n) for n in running if n not in self.live}
            return {number: lease for number, lease in leases.items() if lease is not None}

    def report(self, number: int, progress: Progress) -> Decision:
        """Record an evaluation and decide; one that is recorded already changes nothing.

        Raises:
            ScoreError: it is scored in other languages than the study: their means do not compare.
        """
        with self._lock:
            claim = self.live.get(number)
            if claim is None:
                return Decision.STOP
            if any(point.place == progress.place for point in claim.curve):
                claim.spent_again = claim.curve[-1].spent - claim.spent_before
                return Decision.CONTINUE
            self._look(at_once=False)
            progress = replace(progress.with_means(), time=progress.time or time.time())
            self.view.check_languages(progress)
            progress = progress.with_spent(progress.spent + claim.spent_again)
            self._by.pruner.observe(number, progress)
            decision = self._by.pruner.decide(number, progress)
            if not claim.prunable or claim.is_end(progress, self.plan):
                decision = Decision.CONTINUE
            entry = {rec.curve_key(len(claim.curve)): rec.curve_entry(progress, decision)}
            deaths = {rec.ATTEMPTS: 0, rec.ADOPTIONS: 0} if claim.attempts or claim.adoptions else {}
        if not self.live.write(claim, {**entry, **deaths}):  # others report meanwhile
            return Decision.STOP
        with self._lock:
            claim.curve.append(progress)
            claim.attempts = claim.adoptions = 0
            if not claim.lost:
                self.view.add(number, progress)
            return decision

    def complete(self, number: int) -> None:
        """The trial ran to its budget. It is told to the sampler once the target is stored."""
        with self._lock:
            claim = self.live.pop(number)
            if claim is None:
                return
            if not claim.curve:
                self._endings.fail(number, claim, "the objective ended without any progress", None)
            elif claim.budget is not None and claim.cost < claim.budget:
                spent = f"{claim.cost:,.0f} {self.plan.about.cost_unit}"
                reason = f"the objective ended at a cost of {spent}, but {claim.budget:,.0f} were planned"
                self._endings.fail(number, claim, reason, None)
            else:
                self._endings.done(number, claim)

    def prune(self, number: int) -> None:
        """The trial was stopped by the pruner."""
        with self._lock:
            claim = self.live.pop(number)
            if claim is not None:
                stopped = claim.curve[-1]
                what = f"pruned by {self._pruned_by} at {stopped.stage} window {stopped.windows}"
                why = self._by.pruner.why(number)
                self._endings.prune(number, claim, f"{what}: {why}" if why else what)

    def fail(self, number: int, reason: str, trace: str | None) -> None:
        """The trial ended in an error.

        Raises:
            FirstTrialFailed: it was trial 0, and the target hangs on it.
        """
        with self._lock:
            claim = self.live.pop(number)
            if claim is not None:
                self._endings.fail(number, claim, reason, trace)

    def died(self, number: int, how: str, retries: int, *, smaller: bool = False) -> TrialAssignment | None:
        """The process that ran a trial has died: what to go on with, or None where it has died too often.

        Args:
            how: the process ended, in words.
            retries: that the trial has without a new evaluation.
            smaller: whether memory ran out, so that it is to take less.

        Raises:
            FirstTrialFailed: it was trial 0, and the target hangs on it.
        """
        with self._lock:
            claim = self.live.get(number)
            if claim is None:
                return None
            if claim.attempts > retries:
                self.fail(number, f"its process died {claim.attempts} times without a new evaluation ({how})", None)
                return None
            claim.attempts += 1
            claim.smaller += smaller
            return claim.job(number) if self.live.write(claim, {rec.ATTEMPTS: claim.attempts}) else None

    def close(self) -> None:
        """Release what is live, and stop renewing leases."""
        self.live.close()
        self.storage.guards = tuple(guard for guard in self.storage.guards if guard is not self._guard)

    def snapshot(self) -> StudyView:
        """The study as readers see it."""
        return view_of(self.storage, self._optuna, self.records())

    def first_failure(self) -> str | None:
        """Why trial 0 failed, where the target hangs on it."""
        return self._endings.first_failure()

    def _look(self, *, at_once: bool = True) -> None:
        """Take in what others have stored, and show it to the pruner."""
        self.view.look(but=self.live.held(), at_once=at_once).show(self._by.pruner)

    def _adopt(self, number: int) -> TrialAssignment | None:
        """Take over a running trial that nobody works on any more."""
        trial_id, lease = self.view.trial_id(number), self.view.lease(number)
        if self.view.records[number].done or (lease is not None and not self.live.watch.is_lost(lease)):
            return None
        claimed = self.live.claim(self._optuna._study_id, trial_id, lease)
        if claimed is None:
            return None
        claim, stored = claimed
        self.view.take_in([stored]).show(self._by.pruner)
        attributes = stored.attributes
        claim.attempts = int(attributes.get(rec.ATTEMPTS, 1))
        claim.adoptions = int(attributes.get(rec.ADOPTIONS, 0)) + 1
        self.live.write(claim, {rec.ATTEMPTS: claim.attempts, rec.ADOPTIONS: claim.adoptions})
        if rec.PLAN not in attributes:  # its driver died before the parameters were written
            return self._beginnings.begin(number, claim)
        claim.curve, last = rec.read_curve(attributes)
        claim.fill(attributes)
        self.live.add(number, claim)
        if last is Decision.STOP:
            self.prune(number)
            return None
        if claim.adoptions > MAX_ADOPTIONS:
            how = "killed, out of memory, or crashed"
            self.fail(number, f"its driver died {claim.adoptions - 1} times without a new evaluation ({how})", None)
            return None
        return claim.job(number)
