"""Compare methods on problems: one row per method, problem, seed and cost; an interrupted run is resumed.

    python benchmarks/peers [--data ../shared/data/regmix] [--quick] [--methods …] [--problems …] [--seeds 20]
                            [--units 10 20 40] [--no-reuse] [--out benchmarks/peers/results.csv]

Prints, for each problem and cost in --units, the median over seeds of two measures, each with its 95 % bootstrap
interval: the regret of the recommended trial (true mean of the best row minus that of the recommended row), and the
relative gap of the anytime front's hypervolume of true means, on two scales. It also prints the seconds per proposal.
`docs/explanation/decisions` contains the results.
"""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from methods import APART, METHODS, make, study_of
from problems import Problem, hartmann, recorded, regmix
from replay import run

HERE = Path(__file__).parent
FIELDS = ["problem", "method", "seed", "reuse", "units", "regret", "gap", "gap_top", "trials", "seconds"]
DRAWS = 2000
"""Number of bootstrap samples over seeds."""


def load(name: str, data: Path | None) -> Problem:
    """Load a problem by name."""
    if name == "regmix":
        if data is None:
            sys.exit("regmix needs --data, a folder with RegMix's tables")
        return regmix(data)
    if name == "hartmann":
        return hartmann()
    return next(recorded([name]))


def interval(values: np.ndarray) -> str:
    """Format the median with its bootstrap interval."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (DRAWS, len(values))), axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return f"{np.median(values):.4f} [{low:.4f}, {high:.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=[m for m in METHODS if m not in APART])
    parser.add_argument(
        "--problems", nargs="+", default=["ratio", "simplex", "hartmann"],
        choices=["ratio", "simplex", "hartmann", "regmix"],
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--units", nargs="+", type=float, default=[10.0, 20.0, 40.0])
    parser.add_argument("--no-reuse", action="store_true", help="count the cost of stored stages again")
    parser.add_argument("--quick", action="store_true", help="run three seeds, up to ten units")
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds, units = (3, [5.0, 10.0]) if asked.quick else (asked.seeds, asked.units)
    reuse = not asked.no_reuse
    done = pd.read_csv(asked.out) if asked.out.exists() else pd.DataFrame(columns=FIELDS)
    there = set(zip(done.problem, done.method, done.seed, done.reuse, done.units, strict=True))
    new = not asked.out.exists()
    with asked.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        for name in asked.problems:
            problem = load(name, asked.data)
            for method in asked.methods:
                for seed in range(asked.first_seed, asked.first_seed + seeds):
                    if all((name, method, seed, reuse, mark) in there for mark in units):
                        continue
                    fresh = make(method, problem, seed)
                    marks = run(problem, fresh, study_of(method), seed, max(units), reuse=reuse, marks=tuple(units))
                    for mark in marks:
                        writer.writerow({
                            "problem": name, "method": method, "seed": seed, "reuse": reuse, "units": mark.units,
                            "regret": f"{mark.regret:.6f}", "gap": f"{mark.gaps[0]:.6f}",
                            "gap_top": f"{mark.gaps[1]:.6f}", "trials": mark.trials,
                            "seconds": f"{mark.seconds:.4f}",
                        })  # fmt: skip
                    file.flush()
                    print(f"{name} {method} {seed}: {marks[-1]}", flush=True)
    show(asked.out, reuse)


def show(out: Path, reuse: bool) -> None:
    """Print the tables of a results file."""
    rows = pd.read_csv(out)
    rows = rows[rows.reuse == reuse]
    for (problem, units), part in rows.groupby(["problem", "units"]):
        print(f"\n{problem}, {units:g} units\n\n| method | seeds | regret | gap | gap at the top | trials | s |")
        print("|---|---|---|---|---|---|---|")
        for method, each in part.groupby("method", sort=False):
            cells = [interval(each[column].to_numpy()) for column in ("regret", "gap", "gap_top")]
            spent = f"{each.trials.median():.0f} | {each.seconds.median():.2f}"
            print(f"| {method} | {len(each)} | {' | '.join(cells)} | {spent} |")


if __name__ == "__main__":
    main()
