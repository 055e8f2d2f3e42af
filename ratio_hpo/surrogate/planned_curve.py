"""Planned curves: the rungs that a trial will be evaluated at, with the cost of each, before it runs."""

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
    """The planned evaluations of a trial, in order.

    Attributes:
        windows: windows of each stage at each evaluation [r, s], in the order of the stages.
        costs: attributed cost of each evaluation [r].
    """

    windows: Array
    costs: Array

    def after(self, cost: float) -> PlannedCurve:
        """Return the part of the curve after a cost."""
        remaining = self.costs > cost
        return PlannedCurve(self.windows[remaining], self.costs[remaining])

    def thinned(self, most: int) -> PlannedCurve:
        """Return at most `most` points of the curve, evenly spaced and including the last one."""
        if len(self.costs) <= most:
            return self
        indices = np.linspace(len(self.costs) - 1, 0, most).round().astype(int)[::-1]
        return PlannedCurve(self.windows[indices], self.costs[indices])


class PlannedCurves:
    """The planned curves of trials; trials with equal steps, equal choices and nearly equal ratio share one curve.

    Args:
        space: search space with absolute domains.
        rungs: windows of each stage at which trials are compared, in the order of the stages.
        largest_cost: largest cost of any trial of the space.
        cost_unit: unit of the costs.
        plan_trial: resolves parameters to a trial plan; if None, or if its plans have no stages, curves are derived
            from the trials that were learned.

    Attributes:
        are_planned: whether any curve is based on a trial plan.
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
        self._curves: dict[Any, PlannedCurve] = {}
        self._plans: dict[Any, TrialPlan] = {}
        self.are_planned = False

    def learn(self, records: Sequence[TrialRecord]) -> None:
        """Learn plans and curves from trials, for objectives that cannot plan trials in advance."""
        for record in records:
            if record.plan.stages and NO_INTERMEDIATE_PARAM not in record.params:
                self.are_planned = True
                self._plans.setdefault(self._key(record.params), record.plan)
            elif record.scored and (record.state is State.COMPLETE or record.done) and record.params:
                key = self._key(record.params)
                if key not in self._curves:
                    windows = self._windows_array(windows_at(record, point) for point in record.scored)
                    self._curves[key] = PlannedCurve(
                        windows, np.array([point.cost for point in record.scored], dtype=float)
                    )

    def of(self, params: Params) -> PlannedCurve:
        """Return the planned curve of a trial with these parameters."""
        key = self._key(params)
        if key not in self._curves:
            plan = self._plan_trial(params) if self._plan_trial is not None else None
            if plan is not None and plan.stages:
                self.are_planned = True
                self._curves[key] = self._planned(plan)
            elif self._plan_trial is None and self._plans:
                return self._planned(self._nearest_plan(key), params)
            else:
                return self._every_rung()
        return self._curves[key]

    def _nearest_plan(self, key: Any) -> TrialPlan:
        """Return the plan of the trial with the fewest different discrete parameters, and then the nearest ratio."""

        def distance(other: Any) -> tuple[int, float]:
            differing = sum(a != b for a, b in zip(key[:-1], other[:-1], strict=True))
            return differing, abs((key[-1] or 0.0) - (other[-1] or 0.0))

        return self._plans[min(self._plans, key=distance)]

    def _key(self, params: Params) -> Any:
        discrete = [params.get(name) for name in self._discrete]
        return (*discrete, round(float(params["ratio"]), 1) if "ratio" in params else None)

    def _windows_array(self, positions: Iterable[Mapping[str, float]]) -> Array:
        return np.array([[position.get(stage, 0.0) for stage in self.rungs] for position in positions], dtype=float)

    def _planned(self, plan: TrialPlan, params: Params | None = None) -> PlannedCurve:
        """Return the curve of a plan: first the rungs of the first stage, then those of the other stages in parallel.

        Args:
            plan: trial plan.
            params: parameters of another trial, whose steps replace the planned ones; None to keep the planned ones.
        """
        rate = {name: stage.cost(self._cost_unit) / max(stage.windows, 1) for name, stage in plan.stages.items()}
        grids = {
            name: self._rungs_up_to(name, self._stage_windows(name, stage, params))
            for name, stage in plan.stages.items()
        }
        first, *others = grids
        positions = [{first: float(windows)} for windows in grids[first]]
        for k in range(max((len(grids[name]) for name in others), default=0)):
            reached = {name: float(grids[name][min(k, len(grids[name]) - 1)]) for name in others}
            positions.append({first: float(grids[first][-1]), **reached})
        costs = [sum(windows * rate[name] for name, windows in position.items()) for position in positions]
        return PlannedCurve(self._windows_array(positions), np.array(costs))

    @staticmethod
    def _stage_windows(name: str, stage: StagePlan, params: Params | None) -> int:
        """Return the planned windows of a stage, scaled to the steps in `params` if they are given."""
        steps = (params or {}).get(f"{name}_steps")
        return stage.windows if steps is None else round(float(steps) * stage.windows / max(stage.steps, 1))

    def _rungs_up_to(self, stage: str, windows: int) -> list[int]:
        """Return the rungs of a stage up to its end, which is always evaluated."""
        return [*(rung for rung in self.rungs.get(stage, ()) if rung < windows), windows]

    def _every_rung(self) -> PlannedCurve:
        """Return a curve through all rungs of all stages, one stage after the other, up to the largest cost."""
        positions: list[dict[str, float]] = []
        finished: dict[str, float] = {}
        for stage, grid in self.rungs.items():
            positions += [{**finished, stage: float(windows)} for windows in grid]
            finished[stage] = float(grid[-1]) if grid else 0.0
        costs = np.array([sum(position.values()) for position in positions])
        is_affordable = costs <= self.largest_cost
        is_affordable[0] = True
        return PlannedCurve(self._windows_array(positions)[is_affordable], costs[is_affordable])
