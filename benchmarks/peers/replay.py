"""Replay one run of one method on one problem: the trials, their cost and the recommendation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from problems import Problem

from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.samplers.optuna import distributions
from ratio_hpo.space import Coordinates, Space
from ratio_hpo.surrogate.trials import Trials

Array = NDArray[np.float64]


@dataclass
class View:
    """The state of a replay."""

    optuna: optuna.Study
    reuses: bool
    records: list[TrialRecord] = field(default_factory=list)

    def trials(self, space: Space) -> Trials:
        """Return what samplers and pruners see."""
        return Trials(space=space, records=self.records, reuses=self.reuses)


class Method(Protocol):
    """A method: it proposes trials, stops them and recommends one."""

    def propose(self, view: View, number: int) -> Coordinates | int:
        """Return the coordinates of a new trial, or the number of a stopped trial to resume."""
        ...

    def stops(self, view: View, number: int, progress: Progress) -> bool: ...

    def ended(self, view: View, number: int) -> None: ...

    def recommended(self, view: View) -> int: ...


@dataclass(frozen=True)
class Mark:
    """State of a run at this paid cost, in units of a full trial."""

    units: float
    regret: float
    gaps: tuple[float, float]
    trials: int
    seconds: float


def run(
    problem: Problem, method: Method, study: optuna.Study, seed: int, units: float, *, reuse: bool,
    marks: tuple[float, ...], most_trials: int | None = None, watch: Callable[[float, float], bool] | None = None,
) -> list[Mark]:  # fmt: skip
    """Replay until the paid cost reaches `units` full trials, or until every row of the table was visited.

    Args:
        reuse: whether trials of the same mixture share the cost of the first stage.
        marks: paid costs at which to record the state; after the last row, later marks repeat the last state.
        most_trials: end the run at this number of trials, and return one mark.
        watch: called after each trial with the paid cost in units and the hypervolume of true means; True ends the run.
    """
    view = View(study, reuse)
    visited: dict[int, list[int]] = {}
    order: list[int] = []
    reached: dict[int, float] = {}
    paid, seconds = 0.0, 0.0
    found: list[Mark] = []
    floors = problem.floors()
    best = [problem.best_area(floor) for floor in floors]
    areas = [0.0, 0.0]
    space = problem.space
    while len(visited) < len(problem.rows) and paid < units * problem.unit:
        number = len(view.records)
        if study._storage.get_n_trials(study._study_id) == number:  # a resumed trial leaves its new trial unused
            study._storage.create_new_trial(study._study_id)
        asked: Coordinates | int = {}
        if number >= len(problem.baselines):
            began = time.perf_counter()
            asked = method.propose(view, number)
            seconds += time.perf_counter() - began
        if isinstance(asked, int):
            number, row = asked, order[asked]
            view.records[number] = replace(view.records[number], state=State.RUNNING)
        else:
            row = (
                problem.baselines[number]
                if number < len(problem.baselines)
                else problem.nearest(space.params_at(asked), set(visited))
            )
            _begin(problem, view, row)
            visited[row] = []
            order.append(row)
        kind, curve = view.records[number].kind, problem.curve(row, seed)
        passed = len(view.records[number].curve)
        before = curve[passed - 1].cost if passed else 0.0
        state = State.COMPLETE
        for k, point in enumerate(curve[passed:], passed):
            part = point.cost - before
            if reuse and point.stage == problem.first:
                part = max(point.cost - max(reached.get(problem.mixed[row], 0.0), before), 0.0)
                reached[problem.mixed[row]] = max(reached.get(problem.mixed[row], 0.0), point.cost)
            before = point.cost
            paid += part
            record, ends = view.records[number], point is curve[-1]
            began = time.perf_counter()
            view.records[number] = replace(record, curve=(*record.curve, point))
            stop = method.stops(view, number, point)
            seconds += time.perf_counter() - began
            visited[row].append(k)
            if paid >= units * problem.unit:
                break
            if stop and kind == "sampled" and not ends:
                state = State.PRUNED
                break
        for k, floor in enumerate(floors):
            area = problem.area(visited, floor)
            if area > areas[k]:
                areas[k] = area
        if watch is not None and watch(paid / problem.unit, areas[0]):
            break
        gaps = [1 - area / whole if whole else 0.0 for area, whole in zip(areas, best, strict=True)]
        view.records[number] = replace(view.records[number], state=state)
        method.ended(view, number)
        if most_trials is not None and len(order) == most_trials:
            row_then = order[method.recommended(view)]
            regret = problem.best - problem.final(row_then, seed)
            return [Mark(paid / problem.unit, regret, (gaps[0], gaps[1]), len(order), seconds / len(order))]
        used_up = len(visited) == len(problem.rows)
        while len(found) < len(marks) and (used_up or paid >= marks[len(found)] * problem.unit):
            row_then = order[method.recommended(view)]
            found.append(
                Mark(
                    units=marks[len(found)],
                    regret=problem.best - problem.final(row_then, seed),
                    gaps=(gaps[0], gaps[1]),
                    trials=len(order),
                    seconds=seconds / len(order),
                )
            )
    return found


def _begin(problem: Problem, view: View, row: int) -> None:
    """Start a trial of a row: set its parameters in the Optuna study, and add its record."""
    space, params, number = problem.space, problem.rows[row], len(view.records)
    for name, value in space.encode(params).items():
        view.optuna._storage.set_trial_param(number, name, float(value), distributions(space)[name])
    kind = "baseline" if number < len(problem.baselines) else "sampled"
    view.records.append(
        TrialRecord(number=number, state=State.RUNNING, kind=kind, params=params, plan=problem.planned(params))
    )


def tell(study: optuna.Study, trial_id: int, state: State, values: list[float] | None) -> None:
    """End the Optuna trial."""
    study._storage.set_trial_state_values(trial_id, optuna.trial.TrialState[state.name], values)
