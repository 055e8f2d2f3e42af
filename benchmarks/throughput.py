"""Measure the trials per second of one driver: an instant objective of 10 evaluations, sampler random, pruner none.

    python benchmarks/throughput.py [--trials 2000] [--threads 64] [--storage URL]
    python benchmarks/throughput.py --ray --threads 64 --trials 500
    python benchmarks/throughput.py --trials 10000 --growth

The threads share one study. With --ray, --threads is the number of logical workers, each in one process. The default
of --storage is SQLite in a temporary folder. --growth also prints how the time per trial and the memory of the driver
grow with the study.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from ratio_hpo.backends.ray import run_ray
from ratio_hpo.backends.resources import Resources
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import Context, Params, Progress, State
from ratio_hpo.space import LogUniform, Ratio, Space
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study, StudyPlan, TargetScore

RUNGS = tuple(range(10, 110, 10))
STEPS = (10, 100, 200, 500, 1_000, 2_000, 5_000, 9_000, 10_000)


def instant(params: Params, context: Context) -> Iterator[Progress]:
    """Yield ten evaluations without delay."""
    for windows in RUNGS:
        score = (1 - (params["ratio"] - 0.6) ** 2) * windows / 100
        yield Progress(stage="target", windows=windows, cost=windows, scores={"f1/sw": score, "f1/en": score})


def plan() -> StudyPlan:
    return StudyPlan(
        name=f"throughput-{os.getpid()}",
        basis={"benchmark": "throughput"},
        space=Space("s", {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True)}),
        rungs={"target": RUNGS},
        target=TargetScore(score=0.5),
        baselines=(),
        largest_cost=100.0,
        languages=("en", "sw"),
        seed=0,
        about=StudyMetadata(experiment="throughput", space="s", store="local"),
    )


def work(study: Study, trials: int, took: list[tuple[int, float]], lock: threading.Lock) -> None:
    """Run trials until the study has the requested number; append the time of each to `took`."""
    context = Context(trial=0, seed=0, root=".")
    while True:
        began = time.perf_counter()
        job = study.next(trials)
        if job is None:
            return
        for progress in instant(job.params, context):
            study.report(job.number, progress)
        study.complete(job.number)
        with lock:
            took.append((job.number, time.perf_counter() - began))


def growth(took: list[tuple[int, float]]) -> str:
    """Return the median time per trial in successive parts of the study."""
    marks = [mark for mark in STEPS if mark <= len(took)]
    parts = []
    for low, high in zip([0, *marks], marks, strict=False):
        middle = statistics.median(seconds for number, seconds in took if low <= number < high)
        parts.append(f"{low}-{high}: {1000 * middle:.1f} ms")
    return "time per trial: " + ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--storage", help="an Optuna storage URL")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--growth", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        storage = open_storage(asked.storage or default_url(root))
        study = Study(plan(), storage, sampler=("random", {}), pruner=("none", {}))
        took: list[tuple[int, float]] = []
        memory = psutil.Process().memory_info().rss
        began = time.perf_counter()
        if asked.ray:
            session = Session(study=study, budget=Budget(trials=asked.trials), root=root, threads=1)
            session.watch = lambda view: took.append((view.num_finished, time.perf_counter() - began))
            resources = Resources(backend="ray", workers=asked.threads, cpus=0.01)
            run_ray(session, instant, asked.threads, resources)
            # Count only the last half: on few cores, starting the processes takes longer than the first trials.
            # workers.py measures that start.
            half = took[len(took) // 2]
            rate = (took[-1][0] - half[0]) / (took[-1][1] - half[1])
            print(f"{asked.threads} workers on Ray: {rate:.1f} trials/s over the last {took[-1][0] - half[0]} trials")
        else:
            lock = threading.Lock()
            threads = [
                threading.Thread(target=work, args=(study, asked.trials, took, lock)) for _ in range(asked.threads)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rate = asked.trials / (time.perf_counter() - began)
            print(f"{asked.threads} threads on {asked.storage or 'SQLite'}: {rate:.0f} trials/s")
            study.close()
            if asked.growth:
                print(growth(took))
        assert all(record.state is State.COMPLETE for record in study.records()), (
            "some trials failed, so the throughput is not valid"
        )
        print(f"memory: {psutil.Process().memory_info().rss / 1e6:.0f} MB; {memory / 1e6:.0f} MB at the start")


if __name__ == "__main__":
    main()
