"""Compare the defaults with `--sampler tpe --pruner none` without reuse, by the cost to gain most of the hypervolume.

    python benchmarks/peers/defaults.py [--seeds 100] [--part 0.6667]

Runs on the recorded `ratio` table. The cost is paid after the four baselines, in units of a full trial. A run ends when
it has gained this part of the difference in hypervolume of true means between the baselines alone and the whole table.
Prints the mean cost of both, and the ratio of the means with its 95 % bootstrap interval over seeds.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import optuna
from bootstrap import ratio_of_means
from methods import Ourselves, make, study_of
from problems import Problem, recorded
from replay import run

MOST = 30.0
"""Maximum cost of a run in units; a run that ends here counts with this cost."""


def paid_until(problem: Problem, seed: int, name: str, part: float, *, reuse: bool) -> float:
    """Return the units paid after the baselines until the part is gained."""
    method = Ourselves(problem, seed, "tpe", "none") if name == "tpe" else make("mixture", problem, seed)
    study = study_of("study-tpe" if name == "tpe" else "mixture")
    trace: list[tuple[float, float]] = []
    whole = problem.best_area(problem.floors()[0])

    def reached(paid: float, area: float) -> bool:
        trace.append((paid, area))
        if len(trace) <= len(problem.baselines):
            return False
        at_baselines = trace[len(problem.baselines) - 1][1]
        return area >= at_baselines + part * (whole - at_baselines)

    run(problem, method, study, seed, MOST, reuse=reuse, marks=(), watch=reached)
    return trace[-1][0] - trace[len(problem.baselines) - 1][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--part", type=float, default=2 / 3)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = next(recorded(["ratio"]))
    costs = np.array([
        [paid_until(problem, seed, "mixture", asked.part, reuse=True),
         paid_until(problem, seed, "tpe", asked.part, reuse=False)]
        for seed in range(asked.seeds)
    ])  # fmt: skip
    ratio, low, high = ratio_of_means(costs)
    ours, theirs = costs.mean(0)
    middle = np.median(costs, axis=0)
    print(f"{asked.seeds} seeds, {asked.part:.0%} gained: {ours:.1f} units with the defaults, {theirs:.1f} with tpe")
    print(f"ratio {ratio:.2f} [{low:.2f}, {high:.2f}]; medians {middle[0]:.1f} and {middle[1]:.1f}")


if __name__ == "__main__":
    main()
