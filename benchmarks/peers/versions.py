"""Compare two versions of the default sampler and pruner at a number of trials, paired by seed.

    python benchmarks/peers/versions.py --out old.csv [--seeds 20] [--trials 16 32] [--problems ratio simplex]
    python benchmarks/peers/versions.py --out new.csv --against old.csv

Writes one row per problem, number of trials and seed: the gap of the hypervolume of true means, the regret of the
recommended trial, the number of pruned trials and the number of evaluations. With `--against`, prints the part of the
hypervolume lost and the regret added (in hundredths) relative to the rows of that file: means with 95 % bootstrap
intervals over seeds.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import optuna
import pandas as pd
from methods import Ours, study_of
from problems import Problem, recorded
from replay import run
from stopping import interval

from ratio_hpo.core.trial import State

KEYS = ["problem", "trials", "seed"]


def row_of(problem: Problem, trials: int, seed: int) -> dict[str, object]:
    """Run once and return the row of results."""
    method = Ours(problem, seed)
    [mark] = run(problem, method, study_of("mixture"), seed, 1e9, reuse=True, marks=(), most_trials=trials)
    return {
        "problem": problem.name,
        "trials": trials,
        "seed": seed,
        "gap": mark.gaps[0],
        "regret": mark.regret,
        "stopped": sum(record.state is State.PRUNED for record in method.seen),
        "evaluations": sum(len(record.curve) for record in method.seen),
    }


def compare(new: pd.DataFrame, old: pd.DataFrame) -> None:
    """Print a table of the losses by problem and number of trials."""
    both = new.merge(old, on=KEYS, suffixes=("", "_old"))
    both["lost"] = 1 - (1 - both.gap) / (1 - both.gap_old)
    both["added"] = both.regret - both.regret_old
    print("| problem | trials | seeds | hypervolume lost | regret added |\n|---|---|---|---|---|")
    for (problem, trials), rows in [*both.groupby(KEYS[:2]), (("all", ""), both)]:
        cells = (interval(rows.lost.to_numpy()), interval(rows.added.to_numpy()))
        print(f"| {problem} | {trials} | {len(rows)} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--problems", nargs="+", default=["ratio", "simplex"])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = [
        row_of(problem, trials, seed)
        for problem in recorded(asked.problems)
        for trials in asked.trials
        for seed in range(asked.seeds)
    ]
    new = pd.DataFrame(rows)
    new.to_csv(asked.out, index=False)
    if asked.against is not None:
        compare(new, pd.read_csv(asked.against))


if __name__ == "__main__":
    main()
