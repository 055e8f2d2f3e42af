"""Measure the cost that each pruner saves, and the hypervolume that it loses, at an equal number of trials.

    python benchmarks/peers/stopping.py [--seeds 100] [--trials 16 32] [--problems ratio simplex]
                                        [--sampler random mixture]

Runs on the recorded table. For each pruner, prints the part of the paid cost that it saves against no pruning (ratio of
sums over seeds) and the part of the hypervolume of true means that it loses (mean over seeds), with 95 % bootstrap
intervals over seeds.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import optuna
from methods import Ours, study_of
from problems import Problem, recorded
from replay import Mark, View, run

from ratio_hpo.samplers.optuna import OptunaSampler
from ratio_hpo.space import Coordinates

PRUNERS = ("none", "front", "median", "successive_halving", "hyperband", "patient")
DRAWS = 2000


class Stopped(Ours):
    """A pruner with an Optuna sampler, which does not see pruned trials, or with the `mixture` sampler, which does."""

    def __init__(self, problem: Problem, seed: int, sampler: str, pruner: str) -> None:
        super().__init__(problem, seed, pruner=pruner)
        self._other = None if sampler == "mixture" else OptunaSampler(sampler, {}, space=problem.space, seed=seed)

    def propose(self, view: View, number: int) -> Coordinates:
        if self._other is None:
            return super().propose(view, number)
        self._other.study = view.optuna
        return self._other.coordinates(number)


def once(problem: Problem, seed: int, sampler: str, pruner: str, trials: int) -> Mark:
    """Run one method on one seed."""
    method = Stopped(problem, seed, sampler, pruner)
    return run(problem, method, study_of("mixture"), seed, 1e9, reuse=True, marks=(), most_trials=trials)[0]


def interval(values: np.ndarray, of: Any = np.mean) -> str:
    """Format a statistic of the rows with its bootstrap interval."""
    rng = np.random.default_rng(0)
    drawn = [of(values[rng.integers(0, len(values), len(values))]) for _ in range(DRAWS)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{100 * of(values):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--trials", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--problems", nargs="+", default=["ratio", "simplex"])
    parser.add_argument("--sampler", nargs="+", default=["random"], choices=["random", "mixture"])
    parser.add_argument("--pruners", nargs="+", default=list(PRUNERS[1:]), choices=PRUNERS[1:])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for problem in recorded(asked.problems):
        for sampler in asked.sampler:
            for trials in asked.trials:
                print(f"\n{problem.name}, sampler {sampler}, {trials} trials, {asked.seeds} seeds\n", flush=True)
                print("| pruner | paid cost saved | hypervolume lost |\n|---|---|---|", flush=True)
                plain = [once(problem, seed, sampler, "none", trials) for seed in range(asked.seeds)]
                for pruner in asked.pruners:
                    stopped = [once(problem, seed, sampler, pruner, trials) for seed in range(asked.seeds)]
                    costs = np.array([[a.units, b.units] for a, b in zip(plain, stopped, strict=True)])
                    areas = np.array([1 - (1 - b.gaps[0]) / (1 - a.gaps[0])
                                      for a, b in zip(plain, stopped, strict=True)])  # fmt: skip
                    saved = interval(costs, lambda rows: 1 - rows[:, 1].sum() / rows[:, 0].sum())
                    print(f"| {pruner} | {saved} | {interval(areas)} |", flush=True)


if __name__ == "__main__":
    main()
