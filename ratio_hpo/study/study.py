"""The study: asks for parameters, answers progress with decisions, records ends. The storage is the only truth."""

from __future__ import annotations

import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ratio_hpo.core.errors import FirstTrialFailed
from ratio_hpo.core.trial import NOTHING, Decision, Params, Progress, State, TrialRecord
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.study import records as rec
from ratio_hpo.study.front import curve_points
from ratio_hpo.study.leases import read_lease
from ratio_hpo.study.live import Job, Live, LiveTrials
from ratio_hpo.study.opening import open_study, resolve_target
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.pruning import Shadows
from ratio_hpo.study.samplers import distributions, make_sampler
from ratio_hpo.study.storage import asking, write_attributes
from ratio_hpo.study.view import StudyView, view_of

CENSORED = 2.0
"""What samplers are told of a trial that never reached the target: this many times the largest cost."""


class Study:
    """A study, open in this process.

    Args:
        sampler, pruner: name, and options of Optuna's class.
        settings: what may change on the way, recorded for each trial (backend, workers, versions, …).

    Raises:
        StudyError: it is there with another identity; the message lists the keys that differ.
    """

    plan: StudyPlan
    storage: RDBStorage
    live: LiveTrials

    def __init__(
        self,
        plan: StudyPlan,
        storage: RDBStorage,
        *,
        sampler: tuple[str, Mapping[str, Any]] = ("tpe", {}),
        pruner: tuple[str, Mapping[str, Any]] = ("successive_halving", {}),
        settings: Mapping[str, Any] | None = None,
        plan_trial: Any = None,
    ) -> None:
        self.plan, self.storage = plan, storage
        self._sampler = sampler
        self._settings = {"sampler": sampler[0], "pruner": pruner[0], **(settings or {})}
        self._plan_trial = plan_trial
        self._optuna = open_study(plan, storage)
        self._distributions = distributions(plan.space)
        self._read: dict[int, TrialRecord] = {}
        self.live = LiveTrials(storage)
        self._lock = threading.RLock()
        self.target: float | None = self._optuna.user_attrs.get("target")
        self._shadows = Shadows(pruner[0], pruner[1], plan.rungs, plan.languages)
        past = self.records()
        self._shadows.replay(past)
        self._settle(past)

    def records(self) -> list[TrialRecord]:
        """All trials, by number; finished ones, which change no more, are read once."""
        trials = self._optuna.get_trials(deepcopy=False)
        for trial in trials:
            if trial.number not in self._read or not self._read[trial.number].state.finished:
                self._read[trial.number] = rec.read_trial(trial)
        return [self._read[trial.number] for trial in trials]

    def is_done(self, most_trials: int) -> bool:
        """Whether the asked number of trials is there, and none of them waits to be worked on."""
        states = [record.state for record in self.records() if record.state is not State.WAITING]
        return len(states) >= most_trials and all(state.finished for state in states)

    def next(self, most_trials: int) -> Job | None:
        """A trial to work on: an orphaned one, a waiting one, or a new one; None where there is nothing to do."""
        with self._lock:
            for trial in self._optuna.get_trials(deepcopy=False):
                if trial.state is TrialState.RUNNING and trial.number not in self.live:
                    job = self._adopt(trial)
                    if job is not None:
                        return job
            while True:
                trial = self._new_trial(most_trials)
                if trial is None:
                    return None
                live = self.live.claim(trial._trial_id, None)
                if live is None:  # another driver took it for an orphan in the moment before its lease was written
                    continue
                job = self._begin(trial, live)
                if job is not None:
                    return job

    def held_elsewhere(self) -> dict[int, float]:
        """Running trials that others hold a lease on, with its expiry in seconds since the epoch."""
        held = {}
        for trial in self._optuna.get_trials(deepcopy=False):
            if trial.state is TrialState.RUNNING and trial.number not in self.live:
                lease = read_lease(trial.user_attrs.get(rec.LEASE))
                if lease is not None and not trial.user_attrs.get(rec.DONE):
                    held[trial.number] = lease.expires
        return held

    def report(self, number: int, progress: Progress) -> Decision:
        """Record an evaluation and decide; one that is recorded already changes nothing."""
        with self._lock:
            live = self.live.get(number)
            if live is None:
                return Decision.STOP
            if any((p.stage, p.windows) == (progress.stage, progress.windows) for p in live.curve):
                live.spent_again = live.curve[-1].spent - live.spent_before
                return Decision.CONTINUE
            progress = replace(progress.with_means(), time=progress.time or time.time())
            progress = progress.with_spent(progress.spent + live.spent_again)
            decision = self._shadows.report(number, progress)
            if live.is_anchor or self._is_end(live, progress):
                decision = Decision.CONTINUE
            entry = rec.curve_entry(progress, decision)
            write_attributes(self.storage, live.trial_id, {rec.curve_key(len(live.curve)): entry})
            live.curve.append(progress)
            return decision

    def complete(self, number: int) -> None:
        """The trial ran to its budget. It is told to the sampler once the target is stored."""
        with self._lock:
            live = self.live.pop(number)
            if live is None:
                return
            if not live.curve:
                self._fail(number, live, "the objective ended without any progress", None)
                return
            write_attributes(self.storage, live.trial_id, {rec.DONE: True})
            self._shadows.close(number, State.COMPLETE)
            self._settle(self.records())

    def prune(self, number: int) -> None:
        """The trial was stopped by the pruner."""
        with self._lock:
            live = self.live.pop(number)
            if live is not None:
                stopped = live.curve[-1]
                reason = f"pruned by {self._settings['pruner']} at {stopped.stage} window {stopped.windows}"
                write_attributes(self.storage, live.trial_id, {rec.REASON: reason})
                self._end(live.trial_id, number, State.PRUNED, None)

    def fail(self, number: int, reason: str, trace: str | None) -> None:
        """The trial ended in an error.

        Raises:
            FirstTrialFailed: it was trial 0, and the target hangs on it.
        """
        with self._lock:
            live = self.live.pop(number)
            if live is not None:
                self._fail(number, live, reason, trace)

    def release(self, number: int) -> None:
        """Let go of a trial without ending it: it waits for whoever continues the study."""
        with self._lock:
            self.live.release(number)

    def close(self) -> None:
        """Release what is live, and stop renewing leases."""
        self.live.close()

    def view(self) -> StudyView:
        """The study as readers see it."""
        return view_of(self.storage, self._optuna, self.records())

    def first_failure(self) -> str | None:
        """Why trial 0 failed, where the target hangs on it."""
        if self.target is not None:
            return None
        first = self.records()[:1]
        failed = first and first[0].state is State.FAIL
        return (first[0].reason or "unknown reason") if failed else None

    def _new_trial(self, most_trials: int) -> optuna.Trial | None:
        """The next waiting or new trial; None where the asked number is there. One driver at a time counts and asks."""
        trials = self._optuna.get_trials(deepcopy=False)
        with asking(self.storage, trials[0]._trial_id if trials else None):
            trials = self._optuna.get_trials(deepcopy=False)
            if sum(trial.state is not TrialState.WAITING for trial in trials) >= most_trials:
                return None
            waiting = [trial.number for trial in trials if trial.state is TrialState.WAITING]
            self._use_sampler(waiting[0] if waiting else len(trials))
            sampler = self._optuna.sampler
            exhausted = isinstance(sampler, optuna.samplers.GridSampler) and sampler.is_exhausted(self._optuna)
            if exhausted and not waiting:
                return None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._optuna.ask()

    def _adopt(self, trial: FrozenTrial) -> Job | None:
        """Take over a running trial that nobody works on any more."""
        attributes = trial.user_attrs
        lease = read_lease(attributes.get(rec.LEASE))
        if attributes.get(rec.DONE) or (lease is not None and lease.is_live()):
            return None
        live = self.live.claim(trial._trial_id, attributes.get(rec.LEASE))
        if live is None:
            return None
        if rec.PLAN not in attributes:  # its driver died before the parameters were written
            self._use_sampler(trial.number)
            return self._begin(optuna.Trial(self._optuna, trial._trial_id), live)
        curve, last = rec.read_curve(attributes)
        live.curve, live.kind = curve, attributes.get(rec.KIND, "sampled")
        live.budget = attributes[rec.PLAN].get("cost")
        live.spent_before = curve[-1].spent if curve else NOTHING
        self.live.add(trial.number, live)
        if last is Decision.STOP:
            self.prune(trial.number)
            return None
        return Job(
            number=trial.number,
            params=attributes[rec.PARAMS],
            kind=live.kind,
            position=(curve[-1].stage, curve[-1].windows) if curve else None,
            spent=live.spent_before,
        )

    def _begin(self, trial: optuna.Trial, live: Live) -> Job | None:
        """Give a claimed trial its parameters; one that cannot have any fails, and the search goes on."""
        try:
            live.kind, params = self._parameters(trial)
            plan = self._plan_trial(params) if self._plan_trial else {}
        except Exception as error:  # parameters that the objective refuses belong to their trial
            self._fail(trial.number, live, f"{type(error).__name__}: {error}", traceback.format_exc())
            return None
        live.budget = plan.get("cost")
        about = {rec.KIND: live.kind, rec.PARAMS: params, rec.PLAN: plan, rec.SETTINGS: dict(self._settings)}
        write_attributes(self.storage, live.trial_id, about)
        self.live.add(trial.number, live)
        return Job(number=trial.number, params=params, kind=live.kind)

    def _is_end(self, live: Live, progress: Progress) -> bool:
        """Whether a trial has run to its budget: then it is COMPLETE, whatever the pruner says."""
        if live.budget is not None:
            return progress.cost >= live.budget
        last_stage, grid = list(self.plan.rungs.items())[-1]
        return progress.stage == last_stage and progress.windows >= grid[-1]

    def _parameters(self, trial: optuna.Trial) -> tuple[str, Params]:
        """Kind and absolute parameters: an anchor's own, or what the sampler suggests."""
        attributes = trial.user_attrs
        cube, categories = {}, self.plan.space.categories()
        for name, distribution in self._distributions.items():
            value = trial._suggest(name, distribution)
            cube[name] = (value + 0.5) / categories[name] if name in categories else value
        if rec.PARAMS in attributes:
            return attributes[rec.KIND], attributes[rec.PARAMS]
        asked = {k: v for k, v in attributes.get(rec.ASKED, {}).items() if k in self.plan.space.parameters}
        return attributes.get(rec.KIND, "sampled"), {**self.plan.space.decode(cube), **asked}

    def _use_sampler(self, number: int) -> None:
        name, options = self._sampler
        self._optuna.sampler = make_sampler(name, options, space=self.plan.space, seed=self.plan.seed, number=number)

    def _fail(self, number: int, live: Live, reason: str, trace: str | None) -> None:
        write_attributes(self.storage, live.trial_id, {rec.REASON: reason, rec.TRACEBACK: trace})
        self._end(live.trial_id, number, State.FAIL, None)
        if number == 0 and self.target is None:
            raise FirstTrialFailed(f"trial 0, which sets the target, failed: {reason}")

    def _settle(self, past: list[TrialRecord]) -> None:
        """Tell the trials that did all their work and waited for the target."""
        if self.target is None:
            self.target = resolve_target(self._optuna, self.plan.target, past)
        if self.target is None:
            return
        for record in past:
            if record.state is State.RUNNING and record.done:
                points = curve_points(record)
                cost = min(cost_to_target(points, self.target), CENSORED * self.plan.largest_cost)
                trial_id = self._optuna.get_trials(deepcopy=False)[record.number]._trial_id
                self._end(trial_id, record.number, State.COMPLETE, [points[-1][1], cost])

    def _end(self, trial_id: int, number: int, state: State, values: list[float] | None) -> None:
        self._shadows.close(number, state)
        try:
            self.storage.set_trial_state_values(trial_id, TrialState[state.name], values)
        except optuna.exceptions.UpdateFinishedTrialError:
            return  # another driver has told the same end
