"""Time the reading commands on a large study: 1,000 trials of 20 evaluations in eight languages on two splits.

    python benchmarks/large_study.py [--trials 1000] [--root FOLDER]

Creates the study below --root (default: a temporary folder; an existing study is reused), then times whole processes:
`status`, `list`, `best`, `pareto` with its plot, `export trials`, and `track` into SQLite. `track` runs twice.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.space import LogUniform, Ratio, Space
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study, StudyPlan, TargetScore

LANGUAGES = ("en", "de", "es", "ru", "fi", "id", "sw", "ko")
EVALUATIONS = 20
COMMANDS = (
    ("status",), ("list",), ("best",), ("pareto",), ("export", "trials", "-o", "trials.csv"), ("track",), ("track",)
)  # fmt: skip


def instant(params: Params, context: Context) -> Iterator[Progress]:
    """Yield twenty evaluations with all measures of the built-in objective."""
    for k in range(1, EVALUATIONS + 1):
        value = (1 - (params["ratio"] - 0.6) ** 2) * k / EVALUATIONS
        scores = {f"{m}/{language}": value for m in ("f1", "em") for language in LANGUAGES}
        measures = {key: float(k) for key in ("loss", "lr", "seconds", "tokens", "flops", "paid_seconds", "paid_flops")}
        yield Progress(stage="target", windows=k * 10, cost=k * 10, scores=scores, measures=measures)


def plan() -> StudyPlan:
    return StudyPlan(
        name="large",
        basis={"benchmark": "large"},
        space=Space("s", {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True)}),
        rungs={"target": tuple(range(10, 10 * EVALUATIONS + 1, 10))},
        target=TargetScore(score=0.5),
        baselines=(),
        largest_cost=10.0 * EVALUATIONS,
        languages=LANGUAGES,
        seed=0,
        about=StudyMetadata(experiment="large", space="s", store="local"),
    )


def make(root: Path, trials: int) -> None:
    """Create the study with the random sampler and no pruner."""
    study = Study(plan(), open_storage(default_url(root)), sampler=("random", {}), pruner=("none", {}))
    run_local(Session(study=study, budget=Budget(trials=trials), root=root, threads=1), instant)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--root", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or Path(folder)
        began = time.perf_counter()
        make(root, arguments.trials)
        print(f"made {arguments.trials} trials of {EVALUATIONS} evaluations in {time.perf_counter() - began:.0f} s\n")
        print("| command | seconds |\n|---|---|")
        for words in COMMANDS:
            began = time.perf_counter()
            command = [sys.executable, "-m", "ratio_hpo", *words, "--root", str(root.resolve())]
            subprocess.run(command, check=True, cwd=folder, capture_output=True)
            print(f"| `{' '.join(words)}` | {time.perf_counter() - began:.1f} |", flush=True)


if __name__ == "__main__":
    main()
