"""Features of the response model: shares of a mixture, other parameters in the unit cube, and progress of each stage.

A point consists of the mixture, other parameters such as learning rates, and the windows that each stage has consumed.
So an intermediate stage of 400 windows passes through the points of 100 and 200 windows, and `intermediate_steps` is
not a separate feature unless the learning-rate schedule looks ahead. Mean functions of features are prior knowledge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.trial import Params
from ratio_hpo.space import Choice, Grouped, Simplex, Space, Steps

Array = NDArray[np.float64]

REFERENCE, OTHERS = "reference", "others"
"""Names of the two shares of a ratio."""

ANY = -1
"""Run number of points that belong to no particular run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point on the curve of a trial.

    Attributes:
        params: absolute parameters.
        ratio: realised ratio; None for the requested one.
        shares: realised share of each source; None for the requested ones.
        windows: windows consumed, by stage; stages that have not started may be omitted.
    """

    params: Params
    ratio: float | None = None
    shares: Mapping[str, float] | None = None
    windows: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Feature columns of points.

    Attributes:
        shares: shares that sum to 1 in each row [n, k]; no columns if no mixture is searched.
        others: other parameters and progress [n, q].
        runs: run of each point, whose points share a run effect; -1 stands for the average over runs [n].
    """

    shares: Array
    others: Array
    runs: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.others)

    def rows(self, which: NDArray[np.intp] | slice) -> FeatureTable:
        """Return the selected points."""
        return FeatureTable(self.shares[which], self.others[which], self.runs[which])

    def distances(self, others: FeatureTable) -> Array:
        """Return the distances to the points of another table [n, m]; shares contribute the Hellinger distance."""
        columns = [np.concatenate([np.sqrt(table.shares), table.others], axis=1) for table in (self, others)]
        distances: Array = np.linalg.norm(columns[0][:, None] - columns[1][None], axis=2)
        return distances

    def with_rows(self, more: FeatureTable) -> FeatureTable:
        """Return these points followed by others."""
        pairs = [(self.shares, more.shares), (self.others, more.others), (self.runs, more.runs)]
        return FeatureTable(*(np.concatenate(pair) for pair in pairs))

    def of_runs(self, runs: NDArray[np.intp]) -> FeatureTable:
        """Return the same points with other run numbers."""
        return FeatureTable(self.shares, self.others, runs)

    def of_any_run(self) -> FeatureTable:
        """Return the same points without their run effects."""
        return self.of_runs(np.full(len(self), ANY, dtype=np.intp))


class Features:
    """Converts points to feature columns.

    Args:
        space: the search space.
        stages: windows of the first rung of each stage, in order; they set the scale of progress.
        looks_ahead: whether a learning-rate schedule depends on the number of remaining steps; if so, steps are also
            features.

    Attributes:
        blocks: groups of columns of `others` that share a length scale.
        width: number of columns of `others`.

    Examples:
        >>> from ratio_hpo.space import Ratio
        >>> features = Features(Space("mine", {"ratio": Ratio()}), {"target": 100})
        >>> table = features.table([Point(params={"ratio": 0.25}, windows={"target": 300})])
        >>> table.shares.tolist(), table.others.tolist()
        ([[0.75, 0.25]], [[2.0]])
    """

    blocks: tuple[slice, ...]
    width: int

    def __init__(self, space: Space, stages: Mapping[str, float], *, looks_ahead: bool = False) -> None:
        self._space, self._stages = space, dict(stages)
        self._ratio = "ratio" if "ratio" in space.parameters and "shares" not in space.parameters else None
        self._parts = self._names()
        self._rest = [
            name
            for name, domain in space.parameters.items()
            if name not in ("shares", self._ratio) and (looks_ahead or not self._is_progress(name, domain))
        ]
        widths = [self._width(name) for name in self._rest] + [1] * len(self._stages)
        ends = np.cumsum(widths).tolist()
        self.width = sum(widths)
        self.blocks = tuple(slice(end - width, end) for end, width in zip(ends, widths, strict=True))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the shares; `reference` and `others` for a ratio; empty if no mixture is searched."""
        return self._parts

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that have columns in `others`."""
        return tuple(self._rest)

    def columns_of(self, parameter: str) -> range:
        """Return the columns of a parameter in `others`; empty for the mixture and for steps."""
        if parameter not in self._rest:
            return range(0)
        block = self.blocks[self._rest.index(parameter)]
        return range(block.start, block.stop)

    def stage_column(self, stage: str) -> int:
        """Return the column of `others` with the progress of a stage."""
        return self.width - len(self._stages) + list(self._stages).index(stage)

    def table(self, points: Sequence[Point]) -> FeatureTable:
        """Return the feature columns of points."""
        windows = [np.array([[point.windows.get(stage, 0.0) for stage in self._stages]]) for point in points]
        return self.along(points, windows)

    def along(self, places: Sequence[Point], windows: Sequence[Array]) -> FeatureTable:
        """Return the feature columns of curves, concatenated.

        Args:
            places: one point for each curve; its windows are ignored.
            windows: windows of the stages at each point of a curve [r, s].
        """
        lengths = [len(curve_windows) for curve_windows in windows]
        shares = np.array([self._shares(place) for place in places]).reshape(len(places), len(self._parts))
        others = np.array([self._others(place) for place in places]).reshape(len(places), -1)
        progress = np.concatenate(windows) if windows else np.zeros((0, len(self._stages)))
        progress = np.log2(1.0 + progress / np.array(list(self._stages.values())))
        columns = np.concatenate([np.repeat(others, lengths, axis=0), progress], axis=1)
        return FeatureTable(np.repeat(shares, lengths, axis=0), columns, np.full(len(progress), ANY, dtype=np.intp))

    def _is_progress(self, name: str, domain: object) -> bool:
        """Return whether a parameter is only the length of a stage."""
        return isinstance(domain, Steps) and name.removesuffix("_steps") in self._stages and name.endswith("_steps")

    def _width(self, name: str) -> int:
        domain = self._space.parameters[name]
        return len(domain.options) if isinstance(domain, Choice) else domain.dimensions

    def _names(self) -> tuple[str, ...]:
        domain = self._space.parameters.get("shares")
        if isinstance(domain, Simplex):
            return domain.parts
        if isinstance(domain, Grouped):
            return tuple(domain.sources)
        return (REFERENCE, OTHERS) if self._ratio is not None else ()

    def _shares(self, point: Point) -> Array:
        if self._ratio is not None:
            ratio = float(point.params["ratio"] if point.ratio is None else point.ratio)
            ratio = min(max(ratio, 0.0), 1.0)
            return np.array([1.0 - ratio, ratio])
        share_by_source = point.params.get("shares", {}) if point.shares is None else point.shares
        shares = np.array([max(float(share_by_source.get(name, 0.0)), 0.0) for name in self._parts])
        return shares / shares.sum() if shares.sum() > 0 else shares

    def _others(self, point: Point) -> list[float]:
        columns: list[float] = []
        for name in self._rest:
            domain, value = self._space.parameters[name], point.params.get(name)
            if isinstance(domain, Choice):
                columns += [float(option == value) / 2**0.5 for option in domain.options]
            else:
                columns += [0.5] * domain.dimensions if value is None else domain.encode(value)
        return columns


MeanFunction = Callable[[FeatureTable], Array]
"""Returns how far scores are expected to lie above the common curve at each point, in standard deviations [n].

Each output is modelled as b f(x) + GP(x), with a mean function f and an unknown factor b ~ N(1, 1). This is again a
Gaussian process (Rasmussen and Williams 2006, section 2.7): its mean is f, and its covariance has the additional term
f(x) f(x'). So the data decide how much f counts: its factor moves to 0 if f is uninformative, and below 0 if scores do
the opposite of f, which is as informative as a correct f.
"""

TRUST, DOUBT = 1.0, 1.0
"""Prior mean and variance of the factor."""


def followed(believed: Array, scaled: Array) -> Array:
    """Return the part of scaled outputs that the mean functions explain, with the most probable factors [n, m].

    Args:
        believed: value of each mean function at each point [n, k].
        scaled: scaled outputs [n, m].
    """
    num_priors = believed.shape[1]
    if not num_priors:
        return np.zeros_like(scaled)
    prior_term = np.full((num_priors, 1), TRUST / DOUBT)
    factors = np.linalg.solve(believed.T @ believed + np.eye(num_priors) / DOUBT, believed.T @ scaled + prior_term)
    explained: Array = believed @ factors
    return explained
