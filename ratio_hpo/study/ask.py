"""Claim the next trial and assign its parameters; `tell.py` is the counterpart."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratio_hpo.core.errors import WorkBlocked, in_one_line
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.plans import TRIAL_PLAN
from ratio_hpo.core.trial import NO_INTERMEDIATE, Params, State
from ratio_hpo.core.urls import shown_words
from ratio_hpo.samplers.base import FiniteSampler, SamplerError
from ratio_hpo.samplers.optuna import OptunaSampler, distributions
from ratio_hpo.space import Coordinates
from ratio_hpo.storage import records as rec
from ratio_hpo.storage.retrying_storage import of_database
from ratio_hpo.study.components import Components, PlanTrial
from ratio_hpo.study.running_trials import RunningTrial, RunningTrials, TrialAssignment, TrialInit
from ratio_hpo.study.state import StudyState
from ratio_hpo.study.tell import TrialFinisher


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Error that prevents a trial from getting parameters."""

    reason: str
    traceback: str


class TrialStarter:
    """Starts trials.

    Args:
        state: study state.
        running: running trials of this process.
        components: sampler and step sweeps.
        finisher: ends a trial that cannot get parameters.
        plan_trial: resolves parameters to a trial plan; raises an error for parameters that it refuses.
        settings: settings that are recorded for each trial.
    """

    def __init__(
        self,
        state: StudyState,
        running: RunningTrials,
        components: Components,
        finisher: TrialFinisher,
        plan_trial: PlanTrial,
        settings: Mapping[str, object],
    ) -> None:
        self._state, self._running, self._finisher = state, running, finisher
        self._sampler, self._step_sweeps = components.sampler, components.step_sweeps
        self._plan, self._plan_trial, self._settings = state.plan, plan_trial, dict(settings)
        self._domains = distributions(state.plan.space)
        self._needs_trial = isinstance(self._sampler, OptunaSampler) and self._sampler.needs_trial

    def is_exhausted(self) -> bool:
        """Return whether the sampler has no more proposals."""
        return isinstance(self._sampler, FiniteSampler) and self._sampler.exhausted(self._state.trials())

    def next(self, most_trials: int) -> TrialAssignment | None:
        """Claim the next waiting trial, or create a new one.

        One transaction counts the study's trials and starts this one. It fails if another driver was faster; the state
        is then refreshed and the claim repeated. The same transaction writes the trial's initial attributes, unless
        the sampler needs the trial to exist first.

        Args:
            most_trials: maximum number of trials of the study.

        Returns:
            The assignment; None if the study has `most_trials` trials, or if nothing is left to propose.
        """
        while True:
            waiting, count = self._state.numbers(State.WAITING), len(self._state.records)
            ready = self._ready(waiting)
            if count - len(waiting) >= most_trials or (waiting and not ready and count >= most_trials):
                return None
            if not waiting and self.is_exhausted():
                return None
            number = ready[0] if ready else count
            trial_id = self._state.trial_id(number) if ready else None
            init = None if self._needs_trial else self._trial_init(number)
            claim = self._running.begin(
                self._state.study_id, count, trial_id, init if isinstance(init, TrialInit) else None
            )
            assignment = None
            if claim is not None:
                assignment = self.begin(number, claim) if init is None else self._add(number, claim, init)
            if assignment is not None:
                return assignment
            self._state.refresh()

    def begin(self, number: int, claim: RunningTrial) -> TrialAssignment | None:
        """Assign parameters to a claimed trial; return None if the trial was failed or its lease was lost."""
        init = self._trial_init(number)
        if isinstance(init, TrialInit) and not self._running.settle(self._state.study_id, claim, init):
            return None
        return self._add(number, claim, init)

    def _add(self, number: int, claim: RunningTrial, init: TrialInit | _Refusal) -> TrialAssignment | None:
        """Add a claimed trial to the study state; fail it and return None if it cannot get parameters."""
        if isinstance(init, _Refusal):
            self._state.refresh()
            self._finisher.fail(number, claim, init.reason, init.traceback)
            return None
        attributes = {**self._state.attributes(number), **init.attributes}
        claim.fill(attributes)
        self._state.begin(number, claim.trial_id, attributes, claim.lease)
        self._running.add(number, claim)
        if init.step_sweeps:
            self._state.refresh()
        return claim.assignment(number)

    def _trial_init(self, number: int) -> TrialInit | _Refusal:
        """Return what is stored of a trial when it starts."""
        stored = self._state.attributes(number)
        seed = int(stored.get(rec.SEED, self._plan.seed))
        try:
            coordinates, params, step_sweeps = self._resolve(number, stored)
            plan = self._plan_trial(params, seed)
        except Exception as error:  # the objective may refuse parameters with any error; it fails only this trial
            if of_database(error) is not None or isinstance(error, WorkBlocked | SamplerError) or is_fault(error):
                raise
            return _Refusal(shown_words(in_one_line(error)), shown_words(traceback.format_exc()))
        attributes: rec.Attributes = {
            rec.KIND: stored.get(rec.KIND, "sampled"),
            rec.PARAMS: params,
            rec.PLAN: TRIAL_PLAN.dump_python(plan, mode="json"),
            rec.SETTINGS: self._settings,
            rec.SEED: seed,
        }
        return TrialInit(
            attributes=json.loads(json.dumps(attributes)),  # the same values as after a restart
            place=coordinates,
            domains=self._domains,
            step_sweeps=[{rec.ASKED: sweep_params, rec.SWEEP_OF: number} for sweep_params in step_sweeps],
        )

    def _ready(self, waiting: Sequence[int]) -> list[int]:
        """Return the waiting trials without a running trial in their step sweep, which would train the same stage."""
        running = self._state.numbers(State.RUNNING)
        busy = {self._sweep(number) for number in running if not self._state.records[number].done}
        return [number for number in waiting if self._sweep(number) not in busy]

    def _sweep(self, number: int) -> int:
        """Return the number of the trial that started the step sweep of a trial; the trial itself without a sweep."""
        proposal = self._state.records[number].sweep_of
        return number if proposal is None else proposal

    def _resolve(self, number: int, stored: rec.Attributes) -> tuple[Coordinates, Params, list[Params]]:
        """Resolve the parameters of a trial.

        A baseline has fixed parameters. Requested parameters are kept, and the sampler proposes the missing ones.

        Returns:
            The coordinates that Optuna stores, the absolute parameters, and those of further trials of the step sweep.
        """
        space = self._plan.space
        if stored.get(rec.KIND) == NO_INTERMEDIATE:
            return {}, dict(stored[rec.PARAMS]), []
        if rec.PARAMS in stored:
            return space.coordinates_of(stored[rec.PARAMS]), stored[rec.PARAMS], []
        requested = {key: value for key, value in stored.get(rec.ASKED, {}).items() if key in space.parameters}
        coordinates = space.coordinates_of(requested)
        if any(name not in coordinates for name in self._domains):
            coordinates = {**self._propose(number), **coordinates}
        params = {**space.params_at(coordinates), **requested}
        if requested:
            return coordinates, params, []
        first, *others = self._step_sweeps.of(params, self._state.records[:number])
        if first != params:
            coordinates = {**coordinates, **space.coordinates_of(first)}
        return coordinates, first, others

    def _propose(self, number: int) -> Coordinates:
        if isinstance(self._sampler, OptunaSampler):
            return self._sampler.coordinates(number)
        return self._plan.space.coordinates_of(self._sampler.propose(self._state.trials(), number))
