"""How trials begin: the next one is claimed, and gets its parameters; the counterpart of `endings.py`."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratio_hpo.core.errors import WorkBlocked, in_one_line
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.plans import TRIAL_PLAN, TrialPlan
from ratio_hpo.core.trial import NO_INTERMEDIATE, Params, State
from ratio_hpo.core.urls import shown_words
from ratio_hpo.study import records as rec
from ratio_hpo.study.plan import StudyPlan
from ratio_hpo.study.retrying_storage import of_database
from ratio_hpo.study.running_trials import RunningTrial, RunningTrials, TrialAssignment, TrialInit
from ratio_hpo.study.samplers import Coordinates, Sampler, cube_of, distributions, fixed_values
from ratio_hpo.study.state import StudyState
from ratio_hpo.study.step_sweep import StepSweeps
from ratio_hpo.study.tell import TrialFinisher

PlanTrial = Callable[[Params, int], TrialPlan]
"""What parameters come to under a training seed."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a trial cannot have parameters."""

    reason: str
    traceback: str


class TrialStarter:
    """Begins trials.

    Args:
        plan_trial: what parameters come to; raises what it refuses.
        settings: recorded for each trial.
        look: takes in what was stored.
    """

    def __init__(
        self,
        plan: StudyPlan,
        study_id: int,
        sampler: Sampler,
        step_sweeps: StepSweeps,
        claims: RunningTrials,
        view: StudyState,
        endings: TrialFinisher,
        plan_trial: PlanTrial,
        settings: Mapping[str, Any],
        look: Callable[[], None],
    ) -> None:
        self._plan, self._study_id, self._sampler, self._step_sweeps = plan, study_id, sampler, step_sweeps
        self._claims, self._view, self._endings = claims, view, endings
        self._plan_trial, self._settings, self._look = plan_trial, dict(settings), look
        self._domains = distributions(plan.space)

    def next(self, most_trials: int) -> TrialAssignment | None:
        """The next waiting trial, or a new one; None where the asked number is there, or nothing is left to propose.

        In one transaction the study is counted and the trial begun, which fails where another driver was faster: then
        one looks again. All that the trial has is written with it, but for samplers that need it to be there first.
        """
        while True:
            waiting, count = self._view.numbers(State.WAITING), len(self._view.records)
            ready = self._ready(waiting)
            if count - len(waiting) >= most_trials or (waiting and not ready and count >= most_trials):
                return None
            if not waiting and self._sampler.exhausted(self._view):
                return None
            number = ready[0] if ready else count
            trial_id = self._view.trial_id(number) if ready else None
            content = None if self._sampler.needs_trial else self._content(number)
            whole = content if isinstance(content, TrialInit) else None
            claim = self._claims.begin(self._study_id, count, trial_id, whole)
            job = None
            if claim is not None:
                job = self.begin(number, claim) if content is None else self._begun(number, claim, content)
            if job is not None:
                return job
            self._look()

    def begin(self, number: int, claim: RunningTrial) -> TrialAssignment | None:
        """Give a trial that was begun its parameters."""
        content = self._content(number)
        if isinstance(content, TrialInit) and not self._claims.settle(self._study_id, claim, content):
            return None
        return self._begun(number, claim, content)

    def _begun(self, number: int, claim: RunningTrial, content: TrialInit | _Refusal) -> TrialAssignment | None:
        """Take in a trial that was begun; one that cannot have parameters fails, and the search goes on."""
        if isinstance(content, _Refusal):
            self._look()
            self._endings.fail(number, claim, content.reason, content.traceback)
            return None
        attributes = {**self._view.attributes(number), **content.attributes}
        claim.fill(attributes)
        self._view.begin(number, claim.trial_id, attributes, claim.lease)
        self._claims.add(number, claim)
        if content.step_sweeps:
            self._look()
        return claim.job(number)

    def _content(self, number: int) -> TrialInit | _Refusal:
        """What a trial has from its beginning."""
        stored = self._view.attributes(number)
        seed = int(stored.get(rec.SEED, self._plan.seed))
        try:
            place, params, step_sweeps = self._place(number, stored)
            plan = self._plan_trial(params, seed)
        except Exception as error:  # parameters that the objective refuses belong to their trial
            if of_database(error) is not None or isinstance(error, WorkBlocked) or is_fault(error):
                raise
            return _Refusal(shown_words(in_one_line(error)), shown_words(traceback.format_exc()))
        about: dict[str, Any] = {
            rec.KIND: stored.get(rec.KIND, "sampled"),
            rec.PARAMS: params,
            rec.PLAN: TRIAL_PLAN.dump_python(plan, mode="json"),
            rec.SETTINGS: self._settings,
            rec.SEED: seed,
        }
        return TrialInit(
            attributes=json.loads(json.dumps(about)),  # as it is read again
            place=place,
            domains=self._domains,
            step_sweeps=[{rec.ASKED: each, rec.SWEEP_OF: number} for each in step_sweeps],
        )

    def _ready(self, waiting: Sequence[int]) -> list[int]:
        """The trials of which no sibling runs: they would train the same stage beside each other."""
        running = self._view.numbers(State.RUNNING)
        busy = {self._family(number) for number in running if not self._view.records[number].done}
        return [number for number in waiting if self._family(number) not in busy]

    def _family(self, number: int) -> int:
        """The proposal that a trial is a sibling of, or it itself."""
        proposal = self._view.records[number].sweep_of
        return number if proposal is None else proposal

    def _place(self, number: int, stored: Mapping[str, Any]) -> tuple[Coordinates, Params, list[Params]]:
        """Where a trial lies, as Optuna holds it, its absolute parameters, and those of siblings that are to follow.

        A baseline has its own; what was asked for stays, and what was left out of it is proposed.
        """
        space = self._plan.space
        if stored.get(rec.KIND) == NO_INTERMEDIATE:
            return {}, dict(stored[rec.PARAMS]), []
        if rec.PARAMS in stored:
            return fixed_values(space, stored[rec.PARAMS]), stored[rec.PARAMS], []
        asked = {key: value for key, value in stored.get(rec.ASKED, {}).items() if key in space.parameters}
        place = fixed_values(space, asked) if asked else {}
        if any(name not in place for name in self._domains):
            place = {**self._sampler.propose(self._view, number), **place}
        params = {**space.decode(cube_of(space, place)), **asked}
        if asked:
            return place, params, []
        first, *others = self._step_sweeps.of(params, self._view.records[:number])
        return (place if first == params else {**place, **fixed_values(space, first)}), first, others
