"""Measure how soon all workers of a search on Ray are busy: trials of one second on many logical workers.

    python benchmarks/workers.py [--workers 16] [--trials 64] [--one-by-one]

For comparison, `--one-by-one` keeps Ray Tune's default limit of one pending actor.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ratio_hpo.backends.ray import run_ray
from ratio_hpo.backends.ray_tune import PENDING
from ratio_hpo.backends.resources import Resources
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.space import Ratio, Space
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study, StudyPlan, TargetScore


def one_second(params: Params, context: Context) -> Iterator[Progress]:
    """Write the start time and the process id to a file, then sleep for one second."""
    (Path(context.root) / f"begun-{context.trial}").write_text(f"{time.time()} {os.getpid()}")
    time.sleep(1.0)
    yield Progress(stage="target", windows=10, cost=10, scores={"f1/mean": params["ratio"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--one-by-one", action="store_true")
    asked = parser.parse_args()
    if asked.one_by_one:
        os.environ[PENDING] = "1"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        plan = StudyPlan(
            name="workers",
            basis={},
            space=Space("s", {"ratio": Ratio()}),
            rungs={"target": (10,)},
            target=TargetScore(score=0.5),
            baselines=(),
            largest_cost=10.0,
            languages=(),
            seed=0,
            about=StudyMetadata(experiment="workers", space="s"),
        )
        study = Study(plan, open_storage(default_url(root)), sampler=("random", {}), pruner=("none", {}))
        session = Session(study=study, budget=Budget(trials=asked.trials), root=root, threads=1)
        began = time.time()
        run_ray(session, one_second, asked.workers, Resources(backend="ray", workers=asked.workers, cpus=0.1))
        took = time.time() - began
        starts = [path.read_text().split() for path in root.glob("begun-*")]
        first = min(float(start) for start, _ in starts)
        busy: dict[str, float] = {}
        for start, process in sorted(starts):
            busy.setdefault(process, float(start) - first)
        print(f"{asked.trials} trials of 1 s on {asked.workers} workers: {took:.0f} s, in {len(busy)} processes")
        print(f"the last process started its first trial {max(busy.values()):.1f} s after the first process")


if __name__ == "__main__":
    main()
