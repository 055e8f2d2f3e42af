"""The course of a trial before it is run: the rungs that it passes, and what each costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.plans import StagePlan, TrialPlan
from ratio_hpo.core.trial import NO_INTERMEDIATE_PARAM, Params, State, TrialRecord
from ratio_hpo.space import Choice, Space, Steps
from ratio_hpo.surrogate.observations import windows_at

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PlannedCurve:
    """Evaluations of a trial, in order.

    Attributes:
        windows: of every stage [r, s], in the order of the stages.
        costs: attributed [r].
    """

    windows: Array
    costs: Array

    def after(self, cost: float) -> PlannedCurve:
        """What is left of it from a cost on."""
        left = self.costs > cost
        return PlannedCurve(self.windows[left], self.costs[left])

    def thinned(self, most: int) -> PlannedCurve:
        """So many points of it, evenly spread, the last one among them."""
        if len(self.costs) <= most:
            return self
        kept = np.linspace(len(self.costs) - 1, 0, most).round().astype(int)[::-1]
        return PlannedCurve(self.windows[kept], self.costs[kept])


class PlannedCurves:
    """Courses of trials; those with equal steps and choices, and about the same ratio, have the same.

    Args:
        rungs: windows of each stage at which trials are compared, in the order of the stages.
        plan_trial: what parameters come to; None, or an answer without stages: courses are like those of trials.

    Attributes:
        are_planned: whether plans say them.
    """

    def __init__(
        self,
        space: Space,
        rungs: Mapping[str, Sequence[int]],
        largest_cost: float,
        cost_unit: str,
        plan_trial: Callable[[Params], TrialPlan] | None = None,
    ) -> None:
        self.rungs, self.largest_cost = {stage: tuple(grid) for stage, grid in rungs.items()}, largest_cost
        self._space, self._cost_unit, self._plan_trial = space, cost_unit, plan_trial
        self._discrete = [name for name, domain in space.parameters.items() if isinstance(domain, Steps | Choice)]
        self._known: dict[Any, PlannedCurve] = {}
        self._plans: dict[Any, TrialPlan] = {}
        self.are_planned = False

    def learn(self, records: Sequence[TrialRecord]) -> None:
        """Take in the courses that finished trials have shown, of objectives that cannot be asked before."""
        for record in records:
            if record.plan.stages and NO_INTERMEDIATE_PARAM not in record.params:
                self.are_planned = True
                self._plans.setdefault(self._key(record.params), record.plan)
            elif record.scored and (record.state is State.COMPLETE or record.done) and record.params:
                key = self._key(record.params)
                if key not in self._known:
                    places = self._columns(windows_at(record, point) for point in record.scored)
                    self._known[key] = PlannedCurve(
                        places, np.array([point.cost for point in record.scored], dtype=float)
                    )

    def of(self, params: Params) -> PlannedCurve:
        """The course of a trial with these parameters."""
        key = self._key(params)
        if key not in self._known:
            plan = self._plan_trial(params) if self._plan_trial is not None else None
            if plan is not None and plan.stages:
                self.are_planned = True
                self._known[key] = self._planned(plan)
            elif self._plan_trial is None and self._plans:
                return self._planned(self._like(key), params)
            else:
                return self._every_rung()
        return self._known[key]

    def _like(self, key: Any) -> TrialPlan:
        """The plan of the trial that differs in the fewest discrete parameters, and then least in its ratio."""

        def away(other: Any) -> tuple[int, float]:
            differing = sum(a != b for a, b in zip(key[:-1], other[:-1], strict=True))
            return differing, abs((key[-1] or 0.0) - (other[-1] or 0.0))

        return self._plans[min(self._plans, key=away)]

    def _key(self, params: Params) -> Any:
        discrete = [params.get(name) for name in self._discrete]
        return (*discrete, round(float(params["ratio"]), 1) if "ratio" in params else None)

    def _columns(self, places: Iterable[Mapping[str, float]]) -> Array:
        return np.array([[place.get(stage, 0.0) for stage in self.rungs] for place in places], dtype=float)

    def _planned(self, plan: TrialPlan, params: Params | None = None) -> PlannedCurve:
        """First the first stage, then the others in turns, a rung each.

        Args:
            params: of another trial, whose steps take the place of those planned.
        """
        rate = {name: stage.cost(self._cost_unit) / max(stage.windows, 1) for name, stage in plan.stages.items()}
        grids = {name: self._passed(name, self._windows(name, stage, params)) for name, stage in plan.stages.items()}
        first, *others = grids
        places = [{first: float(windows)} for windows in grids[first]]
        for k in range(max((len(grids[name]) for name in others), default=0)):
            reached = {name: float(grids[name][min(k, len(grids[name]) - 1)]) for name in others}
            places.append({first: float(grids[first][-1]), **reached})
        costs = [sum(windows * rate[name] for name, windows in place.items()) for place in places]
        return PlannedCurve(self._columns(places), np.array(costs))

    @staticmethod
    def _windows(name: str, stage: StagePlan, params: Params | None) -> int:
        """Of a stage: as planned, or as many a step for the steps of other parameters."""
        steps = (params or {}).get(f"{name}_steps")
        return stage.windows if steps is None else round(float(steps) * stage.windows / max(stage.steps, 1))

    def _passed(self, stage: str, windows: int) -> list[int]:
        """The rungs of a stage up to its end, which is always evaluated where anything is."""
        return [*(rung for rung in self.rungs.get(stage, ()) if rung < windows), windows]

    def _every_rung(self) -> PlannedCurve:
        places: list[dict[str, float]] = []
        done: dict[str, float] = {}
        for stage, grid in self.rungs.items():
            places += [{**done, stage: float(windows)} for windows in grid]
            done[stage] = float(grid[-1]) if grid else 0.0
        costs = np.array([sum(place.values()) for place in places])
        fitting = costs <= self.largest_cost
        fitting[0] = True
        return PlannedCurve(self._columns(places)[fitting], costs[fitting])
