"""Time one proposal of the `mixture` sampler and one decision of the `front` pruner, by size of the study.

    OMP_NUM_THREADS=1 python benchmarks/asking.py [--trials 100 1000] [--languages 8] [--parts 8]

Each trial has ten evaluations. All times are in seconds. The times of both include fitting the model again, as in a
search. The fit of the hyperparameters, which a search repeats only at certain numbers of trials, is timed separately.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.pruners.front import FrontPruner
from ratio_hpo.samplers.mixture import MixtureProposals
from ratio_hpo.space import LogUniform, Simplex, Space
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.trials import Trials


def trial(number: int, space: Space, languages: int, rng: np.random.Generator) -> TrialRecord:
    """Create a trial in which the score of each language depends on its own source."""
    params = space.decode(dict(zip(space.coordinates(), rng.random(len(space.coordinates())).tolist(), strict=True)))
    shares = np.array(list(params["shares"].values()))
    curve = []
    for rung in range(1, 11):
        each = (0.4 + 0.4 * (1 - np.exp(-6 * shares[np.arange(languages) % len(shares)]))) * (1 - 0.5 / rung)
        scores = {f"f1/{k}": float(v) for k, v in enumerate(each + 0.01 * rng.standard_normal(languages))}
        curve.append(Progress(stage="target", windows=10 * rung, cost=10.0 * rung, scores=scores).with_means())
    return TrialRecord(number=number, state=State.COMPLETE, kind="sampled", params=params, curve=tuple(curve))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--languages", type=int, default=8)
    parser.add_argument("--parts", type=int, default=8)
    asked = parser.parse_args()
    parts = tuple(f"s{k}" for k in range(asked.parts))
    rate = LogUniform(low=1e-5, high=1e-3, absolute=True)
    space = Space("asking", {"shares": Simplex(parts=parts), "learning_rate": rate})
    rng = np.random.default_rng(0)
    print("| trials | fit | proposal | decision |\n|---|---|---|---|")
    for count in asked.trials:
        records = [trial(number, space, asked.languages, rng) for number in range(count)]
        planned_curves = PlannedCurves(space, {"target": tuple(range(10, 101, 10))}, 100.0, "windows")
        response = Response(space, planned_curves)
        began = time.perf_counter()
        response.fitted(records)
        fit = time.perf_counter() - began
        began = time.perf_counter()
        MixtureProposals(response, seed=0).propose(Trials(space=space, records=records, reuses=True), count)
        proposal = time.perf_counter() - began
        running = [*records, replace(trial(count, space, asked.languages, rng), state=State.RUNNING)]
        running[-1] = replace(running[-1], curve=running[-1].curve[:3])
        pruner = FrontPruner({}, response)
        began = time.perf_counter()
        pruner.decide(Trials(space=space, records=running), running[-1])
        print(f"| {count} | {fit:.2f} | {proposal:.2f} | {time.perf_counter() - began:.2f} |", flush=True)


if __name__ == "__main__":
    main()
