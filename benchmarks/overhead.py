"""Time a trial costs outside training: an instant objective of 10 evaluations, warm.

    python benchmarks/overhead.py [--trials 60]

Ray runs with tracking on, the reference loop with tracking off. The first trials are not counted: they start the
actor, and the tracker its store.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ratio_hpo.backends.driver import Budget, Session
from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.resources import Resources
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.experiment.track import tracking_beside
from ratio_hpo.space import LogUniform, Ratio, Space
from ratio_hpo.study import Study, StudyPlan, Target
from ratio_hpo.study.storage import default_url, open_storage

LANGUAGES = ("en", "de", "es", "ru", "fi", "id", "sw", "ko")
COLD = 10


def instant(params: Params, context: Context) -> Iterator[Progress]:
    """Ten evaluations with the scores of eight languages on two splits."""
    for k in range(1, 11):
        value = (1 - (params["ratio"] - 0.6) ** 2) * k / 10
        scores = {f"{split}f1/{language}": value for split in ("", "prune/") for language in LANGUAGES}
        yield Progress(stage="target", windows=k * 10, cost=k * 10, scores=scores, measures={"loss": 1.0, "lr": 0.1})


def plan(name: str) -> StudyPlan:
    space = Space("s", {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True)})
    return StudyPlan(
        name=name,
        identity={"benchmark": name},
        space=space,
        rungs={"target": tuple(range(10, 110, 10))},
        target=Target(f1=0.5),
        anchors=(),
        largest_cost=100.0,
        languages=LANGUAGES,
        seed=0,
        about={"experiment": "overhead", "space": "s", "base": "none", "trials": 0},
    )


def measure(backend: str, tracking: bool, trials: int) -> float:
    """Seconds a trial, over the trials after the cold ones."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        root = Path(name)
        study = Study(plan(backend), open_storage(default_url(root)), pruner=("none", {}))
        if tracking:
            stack.enter_context(tracking_beside(study, root, None, print))
        session = Session(study=study, budget=Budget(trials=trials + COLD), root=root, threads=1)
        if backend == "ray":
            from ratio_hpo.backends.ray import run_ray

            run_ray(session, instant, 1, Resources(backend="ray", workers=1))
        else:
            run_local(session, instant)
        ends = [record.ended or 0.0 for record in study.records()]
        return (ends[-1] - ends[COLD - 1]) / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    trials = parser.parse_args().trials
    began = time.perf_counter()
    print(f"| backend | tracking | seconds a trial ({trials} trials of 10 evaluations) |")
    print("|---|---|---|")
    for backend, tracking in (("local", False), ("ray", True)):
        print(f"| {backend} | {'on' if tracking else 'off'} | {measure(backend, tracking, trials):.3f} |", flush=True)
    print(f"\nmeasured in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
