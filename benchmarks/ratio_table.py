"""Compute the ratio table of the generated world: 7 ratios x 3 seeds at the reference configuration.

    python benchmarks/ratio_table.py [--seeds 0 1 2] [--workers 2]

Prints a Markdown table: the mean F1 on `validation` after both stages, over all languages and by group of languages,
and the mean F1 before the first target step. A seed determines the order of the data and the splits.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.trial import Context, Progress
from ratio_hpo.experiment.build_search import RunOptions, Search, build_search

RATIOS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
GROUPS = {"en": ("en",), "de es ru": ("de", "es", "ru"), "fi id sw ko": ("fi", "id", "sw", "ko")}


def ready(root: str, seed: int) -> Search:
    """Build the default search with this seed."""
    options = RunOptions(root=Path(root), settings=(Setting("seed", seed, "--seeds"),), tracking=False)
    return build_search(options, lambda line: None)


def measure(job: tuple[str, int, float]) -> tuple[int, float, list[Progress]]:
    """Return the curve of one trial."""
    root, seed, ratio = job
    search = ready(root, seed)
    context = Context(trial=0, seed=seed, root=f"{root}/stages", threads=1)
    return seed, ratio, list(search.objective({"ratio": ratio}, context))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        for seed in arguments.seeds:
            ready(root, seed)
        jobs = [(root, seed, ratio) for seed in arguments.seeds for ratio in RATIOS]
        with ProcessPoolExecutor(arguments.workers) as pool:
            results = list(pool.map(measure, jobs))
    print(f"| ratio | mean F1 | {' | '.join(GROUPS)} | F1 at target step 0 |")
    print("|---|" + "---|" * (len(GROUPS) + 2))
    for ratio in RATIOS:
        curves = [curve for _, r, curve in results if r == ratio]
        ends = [curve[-1] for curve in curves]
        means = [end.primary_score for end in ends]
        spread = statistics.stdev(means) if len(means) > 1 else 0.0
        groups = [
            statistics.mean(end.scores[f"f1/{language}"] for end in ends for language in languages)
            for languages in GROUPS.values()
        ]
        before = statistics.mean([p for p in curve if p.stage == "intermediate"][-1].primary_score for curve in curves)
        cells = " | ".join(f"{value:.3f}" for value in groups)
        print(f"| {ratio:g} | {statistics.mean(means):.3f} ± {spread:.3f} | {cells} | {before:.3f} |")


if __name__ == "__main__":
    main()
