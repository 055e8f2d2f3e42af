"""The defaults against `--sampler tpe --pruner none` in whole searches of the embedded world.

    python benchmarks/peers/live.py [--seeds 5] [--root FOLDER] [--part 0.6667]

Each search is the shipped one, 16 trials, resumed where it was stopped. Prints, for each, how many trials were stopped,
what scoring took of the work, what was paid after the baselines (in full trials) and the seconds since the first
evaluation until a part of the hypervolume between the baselines and all points of both searches of its seed
was gained, then both means and their ratios with 95 % bootstrap intervals over seeds. A search that did not get there
counts with all that it paid, and is marked. Without stored stages TPE would pay the same: it draws no mixture twice.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from bootstrap import ratio_of_means

from ratio_hpo import load_study
from ratio_hpo.metrics.convergence import hypervolume

WAYS = {"default": [], "tpe": ["--sampler", "tpe", "--pruner", "none"]}


@dataclass(frozen=True)
class Search:
    """A search that has ended: its evaluations in the order of time, and which trials are baselines."""

    points: pd.DataFrame
    trials: pd.DataFrame

    @property
    def stopped(self) -> int:
        return int((self.trials.state == "PRUNED").sum())

    @property
    def scoring(self) -> float:
        """Part of the seconds of work that is scoring."""
        last = self.points.groupby("trial").last()
        scoring, training = last.paid_scoring_seconds.sum(), last.paid_seconds.sum()
        return float(scoring / (scoring + training))

    def until(self, whole: float, part: float, largest: float) -> tuple[float, float, bool]:
        """Paid after the baselines, in full trials, and seconds, until the part is gained, and whether it was."""
        baselines = set(self.trials[self.trials.baseline].number)
        of_baselines = self.points.trial.isin(baselines)
        first = area(self.points.loc[of_baselines], largest)
        wanted = first + part * (whole - first)
        paid = self.points.groupby("trial").paid.diff().fillna(self.points.paid).where(~of_baselines)
        seconds = self.points.time - self.points.time.iloc[0]
        for k in range(1, len(self.points) + 1):
            if area(self.points.iloc[:k], largest) >= wanted:
                return float(paid.iloc[:k].sum() / largest), float(seconds.iloc[k - 1]), True
        return float(paid.sum() / largest), float(seconds.iloc[-1]), False


def area(points: pd.DataFrame, largest: float) -> float:
    """Hypervolume of evaluations, of those with a score of all targets."""
    known = points.dropna(subset=["score/mean"])
    return hypervolume(list(zip(known.cost, known["score/mean"], strict=True)), largest)


def searched(root: Path, way: str, seed: int) -> Search:
    """A search, run or gone on with."""
    folder = root / f"{way}-{seed}"
    command = ["search", "--space", "default", "--seed", str(seed), "--root", str(folder), *WAYS[way], "--json"]
    subprocess.run([sys.executable, "-m", "ratio_hpo", *command], check=True, stdout=subprocess.DEVNULL)
    study = load_study(root=folder)
    return Search(study.curves().sort_values("time", kind="stable").reset_index(drop=True), study.trials())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--root", type=Path, default=Path("mlruns/live"))
    parser.add_argument("--part", type=float, default=2 / 3)
    asked = parser.parse_args()
    found = {way: [searched(asked.root, way, seed) for seed in range(asked.seeds)] for way in WAYS}
    largest = max(float(one.points.cost.max()) for each in found.values() for one in each)
    whole = [area(pd.concat([one.points for one in both]), largest) for both in zip(*found.values(), strict=True)]
    rows = {
        way: [one.until(there, asked.part, largest) for one, there in zip(each, whole, strict=True)]
        for way, each in found.items()
    }
    print("| way | seed | stopped | scoring | hypervolume | paid | seconds |\n|---|---|---|---|---|---|---|")
    for way, each in found.items():
        for seed, (one, (paid, seconds, there)) in enumerate(zip(each, rows[way], strict=True)):
            sign = "" if there else "> "
            print(f"| {way} | {seed} | {one.stopped} | {one.scoring:.0%} | {area(one.points, largest):.3f} "
                  f"| {sign}{paid:.2f} | {sign}{seconds:.0f} |")  # fmt: skip
    for k, name in enumerate(("paid after the baselines", "seconds")):
        pairs = np.array([[a[k], b[k]] for a, b in zip(*rows.values(), strict=True)])
        (ours, theirs), (ratio, low, high) = pairs.mean(0), ratio_of_means(pairs)
        print(f"{name}: {ours:.2f} for {theirs:.2f}, x {ratio:.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
