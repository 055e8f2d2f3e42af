"""Measure the overhead per trial outside training, with an instant objective of 10 evaluations.

    python benchmarks/overhead.py [--trials 60] [--growth 500]

Ray runs with tracking on. The local backend runs with tracking off, with the objective in the same process and in a
subprocess. The first trials are not counted, because processes and the tracking store start then. `--growth N` also
shows how the time per trial grows with the study: the median over the first and over the last of N trials, by sampler
and pruner.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.resources import Resources
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.experiment.track import tracking_beside
from ratio_hpo.space import LogUniform, Ratio, Space
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study, StudyPlan, TargetScore

LANGUAGES = ("en", "de", "es", "ru", "fi", "id", "sw", "ko")
COLD, EDGE = 10, 10
GROWTH = (("random", "none"), ("random", "successive_halving"), ("tpe", "successive_halving"))


def instant(params: Params, context: Context) -> Iterator[Progress]:
    """Yield ten evaluations with the scores of eight languages."""
    for k in range(1, 11):
        value = (1 - (params["ratio"] - 0.6) ** 2) * k / 10
        scores = {f"f1/{language}": value for language in LANGUAGES}
        yield Progress(stage="target", windows=k * 10, cost=k * 10, scores=scores, measures={"loss": 1.0, "lr": 0.1})


def plan(name: str) -> StudyPlan:
    space = Space("s", {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True)})
    return StudyPlan(
        name=name,
        basis={"benchmark": name},
        space=space,
        rungs={"target": tuple(range(10, 110, 10))},
        target=TargetScore(score=0.5),
        baselines=(),
        largest_cost=100.0,
        languages=LANGUAGES,
        seed=0,
        about=StudyMetadata(experiment="overhead", space="s"),
    )


def measure(backend: str, trials: int, *, tracking: bool, isolated: bool) -> float:
    """Return the seconds per trial after warm-up."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        root = Path(name)
        study = Study(plan(backend), open_storage(default_url(root)), pruner=("none", {}))
        if tracking:
            stack.enter_context(tracking_beside(study, RunFolder(root), None, print))
        session = Session(study=study, budget=Budget(trials=trials + COLD), root=root, threads=1)
        if backend == "ray":
            from ratio_hpo.backends.ray import run_ray

            run_ray(session, instant, 1, Resources(backend="ray", workers=1))
        else:
            run_local(session, instant, isolated=isolated)
        ends = [record.ended or 0.0 for record in study.records()]
        return (ends[-1] - ends[COLD - 1]) / trials


def growth(sampler: str, pruner: str, trials: int) -> tuple[float, float]:
    """Return the median seconds per trial after warm-up and at the end."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        study = Study(plan("growth"), open_storage(default_url(root)), sampler=(sampler, {}), pruner=(pruner, {}))
        run_local(Session(study=study, budget=Budget(trials=trials), root=root, threads=1), instant)
        ends = [record.ended or 0.0 for record in study.records()]
        took = [after - before for before, after in itertools.pairwise(ends)]
        return statistics.median(took[COLD : COLD + EDGE]), statistics.median(took[-EDGE:])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--growth", type=int, default=0)
    asked = parser.parse_args()
    began = time.perf_counter()
    print(f"| backend | objective | tracking | seconds per trial ({asked.trials} trials of 10 evaluations) |")
    print("|---|---|---|---|")
    for backend, place, tracking in (
        ("local", "in-process", False),
        ("local", "subprocess", False),
        ("ray", "actor", True),
    ):
        seconds = measure(backend, asked.trials, tracking=tracking, isolated=place == "subprocess")
        print(f"| {backend} | {place} | {'on' if tracking else 'off'} | {seconds:.3f} |", flush=True)
    if asked.growth:
        print(f"\n| sampler | pruner | ms per trial, trials {COLD}-{COLD + EDGE} | the last {EDGE} of {asked.growth} |")
        print("|---|---|---|---|")
        for sampler, pruner in GROWTH:
            first, last = growth(sampler, pruner, asked.growth)
            print(f"| {sampler} | {pruner} | {first * 1e3:.1f} | {last * 1e3:.1f} |", flush=True)
    print(f"\nmeasured in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
