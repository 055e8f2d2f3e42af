"""Recorded tables as problems: each returns the curve that a proposal would have, with the noise of one seed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import qmc

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.plans import StagePlan, TrialPlan
from ratio_hpo.core.trial import Params, Progress
from ratio_hpo.metrics.convergence import hypervolume
from ratio_hpo.space import LogUniform, Ratio, Simplex, Space, Steps, Uniform
from ratio_hpo.surrogate.features import Features, Point

Array = NDArray[np.float64]

TABLE = Path(__file__).parents[1] / "tables" / "polyglot.parquet"

BATCH, TARGET_WINDOWS = 32, 640
"""In the generated world: windows per intermediate step, and windows of a target stage."""

VALIDATION = "select"
"""The split in the table on which trials are scored; true means are computed over all splits in the table."""

LEADING = 0.9
"""The second scale starts at this quantile of the final scores."""


@dataclass(frozen=True)
class Problem:
    """A table of configurations with their curves.

    Attributes:
        rows: parameters of each row.
        curves: the observed curves of each row, one per seed.
        means: the same curves with less noise; for the recorded table, means over the items of both splits.
        mixed: number of the first stage of each row; rows with the same number share a prefix of that stage.
        first: name of the first stage.
        baselines: rows that every method runs first.
        rungs: windows of each stage.
    """

    name: str
    space: Space
    rows: Sequence[Params]
    curves: Sequence[Sequence[Sequence[Progress]]]
    means: Sequence[Sequence[Array]]
    mixed: Sequence[int]
    rungs: Mapping[str, Sequence[int]]
    first: str = ""
    baselines: tuple[int, ...] = ()
    _cache: dict[str, Array] = field(default_factory=dict, compare=False)

    @cached_property
    def truths(self) -> list[Array]:
        """The mean over seeds at each point of the curve, for each row."""
        return [np.mean(seeds, axis=0) for seeds in self.means]

    @property
    def unit(self) -> float:
        """The cost of a full trial."""
        return max(curves[0][-1].cost for curves in self.curves)

    def curve(self, row: int, seed: int) -> Sequence[Progress]:
        """Return the curve that a trial of a row observes; it is the same for every method with the same seed."""
        return self.curves[row][self._drawn(row, seed)]

    def _drawn(self, row: int, seed: int) -> int:
        return int(integer_hash("noise", seed, self.mixed[row]) % len(self.curves[row]))

    def planned(self, params: Params) -> TrialPlan:
        """Return the trial plan, with the windows of each stage."""
        if not self.first:
            return TrialPlan()
        row = next(k for k, row in enumerate(self.rows) if row["intermediate_steps"] == params["intermediate_steps"])
        windows = {point.stage: point.windows for point in self.curves[row][0]}
        stages = {
            stage: StagePlan(steps=n, windows=n, ratio=0.0, ratio_realised=0.0, ratio_realised_tokens=0.0)
            for stage, n in windows.items()
        }
        return TrialPlan(cost=self.curves[row][0][-1].cost, stages=stages)

    def nearest(self, params: Params, used: set[int]) -> int:
        """Return the nearest unused row: Hellinger distance for shares, the unit cube for other parameters."""
        away = np.linalg.norm(self._places - self._place(params), axis=1)
        away[list(used)] = np.inf
        return int(away.argmin())

    @property
    def _places(self) -> Array:
        if "places" not in self._cache:
            self._cache["places"] = np.stack([self._place(row) for row in self.rows])
        return self._cache["places"]

    def _place(self, params: Params) -> Array:
        table = Features(self.space, {}, looks_ahead=True).table([Point(params=params, windows={})])
        return np.concatenate([np.sqrt(table.shares[0]), table.others[0]])

    @property
    def finals(self) -> Array:
        """The true last score of each row."""
        return np.array([truth[-1] for truth in self.truths])

    def final(self, row: int, seed: int) -> float:
        """Return the last score of a row in unseen seeds, where a choice by noise gains nothing."""
        seen = self._drawn(row, seed)
        others = [mean[-1] for k, mean in enumerate(self.means[row]) if k != seen]
        return float(np.mean(others)) if others else float(self.truths[row][-1])

    @property
    def best(self) -> float:
        """The score of the best row, chosen on all seeds but one and measured on the remaining one."""
        if "best" not in self._cache:
            lasts = np.array([[mean[-1] for mean in seeds] for seeds in self.means])
            found = [lasts[np.delete(lasts, k, axis=1).mean(1).argmax(), k] for k in range(lasts.shape[1])]
            self._cache["best"] = np.array(np.mean(found) if lasts.shape[1] > 1 else lasts.max())
        return float(self._cache["best"])

    def floors(self) -> tuple[float, float]:
        """Return the start of the two scales: median score at the first rung, 90th percentile of last scores."""
        return float(np.median([truth[0] for truth in self.truths])), float(np.quantile(self.finals, LEADING))

    def area(self, visited: Mapping[int, Iterable[int]], floor: float) -> float:
        """Return the hypervolume over a floor of the true means of the visited points (row -> points)."""
        points = [
            (self.curves[row][0][k].cost, max(float(self.truths[row][k]) - floor, 0.0))
            for row, places in visited.items()
            for k in places
        ]
        return hypervolume(points, self.unit)

    def best_area(self, floor: float) -> float:
        """Return the hypervolume of the whole table over a floor."""
        key = f"area {floor}"
        if key not in self._cache:
            whole = {row: range(len(self.truths[row])) for row in range(len(self.rows))}
            self._cache[key] = np.array(self.area(whole, floor))
        return float(self._cache[key])


def regmix(data: Path, name: str = "train_*_1m") -> Problem:
    """Load RegMix: 512 mixtures of 17 domains, last points only; the score is the log loss on 13, mapped to [0, 1]."""
    found = []
    for kind in ("mixture", "pile_loss"):
        with (data / f"{name.replace('*', kind)}.csv").open() as file:
            found.append(np.array([[float(cell) for cell in row[1:]] for row in list(csv.reader(file))[1:]]))
    shares, losses = found[0] / found[0].sum(1, keepdims=True), np.log(found[1])
    scores = (losses.max() - losses) / (losses.max() - losses.min())
    parts = tuple(f"d{k:02d}" for k in range(shares.shape[1]))
    rows = [{"shares": dict(zip(parts, each.tolist(), strict=True))} for each in shares]
    curves = [
        [[Progress(stage="target", windows=1, cost=1.0, scores={f"score/{k}": float(v) for k, v in enumerate(row)})
          .with_means()]]
        for row in scores
    ]  # fmt: skip
    return Problem(
        name="regmix",
        space=Space("regmix", {"shares": Simplex(parts=parts)}),
        rows=rows,
        curves=curves,
        means=[[np.array([row.mean()])] for row in scores],
        mixed=list(range(len(rows))),
        rungs={"target": (1,)},
    )


def hartmann() -> Problem:
    """Create a problem without a mixture: Hartmann's function of six numbers (Dixon and Szego 1978), mapped to [0, 1].

    It is evaluated at 1,024 Sobol points, each measured three times with noise; last points only.
    """
    places = qmc.Sobol(6, scramble=True, seed=0).random(1024)
    away = (HARTMANN_A[None] * (places[:, None, :] - HARTMANN_P[None]) ** 2).sum(2)
    truth = (np.exp(-away) @ HARTMANN_ALPHA) / HARTMANN_BEST
    run_effect = HARTMANN_NOISE * np.random.default_rng(0).standard_normal((len(places), 3))
    curves = [
        [
            [Progress(stage="target", windows=1, cost=1.0, scores={"score/f": float(value)}).with_means()]
            for value in row
        ]
        for row in np.clip(truth[:, None] + run_effect, 0.0, 1.0)
    ]
    names = [f"x{k}" for k in range(6)]
    return Problem(
        name="hartmann",
        space=Space("hartmann", {name: Uniform(low=0.0, high=1.0, absolute=True) for name in names}),
        rows=[dict(zip(names, place.tolist(), strict=True)) for place in places],
        curves=curves,
        means=[[np.array([value])] for value in truth],
        mixed=list(range(len(places))),
        rungs={"target": (1,)},
    )


HARTMANN_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
HARTMANN_P = 1e-4 * np.array(
    [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
     [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]
)  # fmt: skip
HARTMANN_BEST, HARTMANN_NOISE = 3.32237, 0.02


def recorded(names: Iterable[str]) -> Iterator[Problem]:
    """Create problems from the recorded table, which is read once."""
    table = pd.read_parquet(TABLE)
    return (polyglot(table, name) for name in names)


def polyglot(table: pd.DataFrame, which: str) -> Problem:
    """Create the problem `ratio` or `simplex` from the dense table of the generated world, with its complete seeds."""
    table = table[table.problem == which]
    languages = sorted(table.language.unique())
    splits = sorted(table["split"].unique())
    sources = [column.removeprefix("share_") for column in table.columns if column.startswith("share_")]
    units = table.groupby(["mixture", "learning_rate"], sort=True)
    units_of = table.drop_duplicates(["mixture", "learning_rate", "seed"]).groupby("seed").size()
    seeds = [seed for seed in sorted(units_of.index) if units_of[seed] == units.ngroups]
    steps = sorted(int(step) for step in table.intermediate_steps.dropna().unique())
    rows: list[Params] = []
    curves, means, mixed = [], [], []
    for number, ((mixture, rate), unit) in enumerate(units):
        scores = unit.pivot_table(
            index=["seed", "intermediate_steps", "stage", "windows", "cost"],
            columns=["split", "language"],
            values="f1",
            dropna=False,
            observed=True,
        )
        scores = scores.dropna(how="all").reset_index()
        of_seed = dict(list(scores.groupby("seed")))
        shares = {source: float(unit[f"share_{source}"].iloc[0]) for source in sources}
        for step in steps:
            rest = {"intermediate_steps": step}
            if which == "ratio":
                rows.append({"ratio": int(mixture) / 10, "learning_rate": float(rate), **rest})
            else:
                rows.append({"shares": shares, **rest})
            by_split = {split: [_curve(of_seed[seed], step, languages, split) for seed in seeds] for split in splits}
            curves.append(by_split[VALIDATION])
            scores = [
                [[point.primary_score for point in curve] for curve in of_split] for of_split in by_split.values()
            ]
            means.append(list(np.mean(scores, axis=0)))
            mixed.append(number)
    rates = sorted(table.learning_rate.unique())
    steps_domain = Steps(values=tuple(float(step) for step in steps), absolute=True)
    if which == "ratio":
        domains = {
            "ratio": Ratio(),
            "learning_rate": LogUniform(low=rates[0], high=rates[-1], absolute=True),
            "intermediate_steps": steps_domain,
        }
        reference = min(100, steps[-1])
        wanted = [(ratio, rates[3], reference) for ratio in (0.0, 0.2, 0.9, 1.0)]
        baselines = tuple(
            next(k for k, r in enumerate(rows) if (r["ratio"], r["learning_rate"], r["intermediate_steps"]) == want)
            for want in wanted
        )
    else:
        domains, baselines = {"shares": Simplex(parts=tuple(sources)), "intermediate_steps": steps_domain}, ()
    return Problem(
        name=which,
        space=Space(which, domains),
        rows=rows,
        curves=curves,
        means=means,
        mixed=mixed,
        rungs={"intermediate": tuple(s * BATCH for s in steps), "target": (160, 320, 480, 640)},
        first="intermediate",
        baselines=baselines,
    )


def _curve(points: pd.DataFrame, steps: int, languages: Sequence[str], split: str) -> list[Progress]:
    """Return the curve of a trial: the intermediate stage up to its steps, then the target stage that starts there."""
    passed = points[(points.stage == "intermediate") & (points.windows <= steps * BATCH)]
    branch = points[(points.stage == "target") & (points.intermediate_steps == steps)]
    curve = []
    for part in (passed.sort_values("windows"), branch.sort_values("windows")):
        for _, row in part.iterrows():
            scores = {f"f1/{language}": float(row[(split, language)]) for language in languages}
            curve.append(
                Progress(
                    stage=str(row[("stage", "")]), windows=int(row[("windows", "")]), cost=float(row[("cost", "")]),
                    scores=scores,
                ).with_means()
            )  # fmt: skip
    return curve
