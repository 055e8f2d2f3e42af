"""Compare the defaults with `--sampler tpe --pruner none` in complete searches on the generated world.

    python benchmarks/peers/live.py [--seeds 5] [--root FOLDER] [--part 0.6667]

Each search is the shipped one with 16 trials; an interrupted search is resumed. For each search, the script prints the
number of pruned trials, the part of the working time that scoring took, and the effort until a part of the hypervolume
was gained: the cost after the baselines (in full trials) and the seconds since the first evaluation. The hypervolume
is counted from the baselines to all points of both searches with the same seed. Then the script prints both means and
their ratios with 95 % bootstrap intervals over seeds. A search that does not gain the part counts with its total cost,
and is marked with `>`. TPE would pay the same without stored stages, because it never samples a mixture twice.
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
    """A finished search: its evaluations in order of time, and its trials."""

    points: pd.DataFrame
    trials: pd.DataFrame

    @property
    def stopped(self) -> int:
        return int((self.trials.state == "PRUNED").sum())

    @property
    def scoring(self) -> float:
        """Part of the working time that scoring took."""
        last = self.points.groupby("trial").last()
        scoring, training = last.paid_scoring_seconds.sum(), last.paid_seconds.sum()
        return float(scoring / (scoring + training))

    def until(self, whole: float, part: float, largest: float) -> tuple[float, float, bool]:
        """Return the full trials paid after the baselines and the seconds until the part is gained, and if it is."""
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
    """Return the hypervolume of the evaluations that have a score of every target."""
    known = points.dropna(subset=["score/mean"])
    return hypervolume(list(zip(known.cost, known["score/mean"], strict=True)), largest)


def searched(root: Path, way: str, seed: int) -> Search:
    """Run or resume a search, and load its results."""
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
        print(f"{name}: {ours:.2f} against {theirs:.2f}, x {ratio:.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
