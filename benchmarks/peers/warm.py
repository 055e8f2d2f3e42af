"""What a warm start and a belief are worth, and what they cost where they are wrong.

    python benchmarks/peers/warm.py [--seeds 40] [--problems ratio simplex] [--part 0.95]

Trials until a part of the anytime front's hypervolume of true means is there, on the recorded tables, scored on one
half of the languages: with nothing known, with a study of 20 trials scored on the other half, with the best place
believed, with the same study upside down (its best places are its worst), and with the worst place believed. Prints the
mean of each, and its ratio to that of nothing known with the 95 % bootstrap interval over seeds.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pandas as pd
from methods import Ours, study_of
from problems import TABLE, Problem, polyglot
from replay import run

from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.study.course import Courses
from ratio_hpo.study.prior import Belief, Elsewhere
from ratio_hpo.study.response import Response
from ratio_hpo.surrogate.prior import Tendency

HERE, THERE = ("en", "es", "fi", "sw"), ("de", "id", "ko", "ru")
TRIALS, MOST, DRAWS = 20, 30.0, 4000
"""Trials of the other study; units after which a run ends that has not got there; of the bootstrap."""

ARMS = ("nothing", "study", "belief", "study upside down", "wrong belief")


def response(problem: Problem) -> Response:
    return Response(problem.space, Courses(problem.space, problem.rungs, problem.unit, "windows", problem.planned))


def other_study(problem: Problem, seed: int) -> list[TrialRecord]:
    """The trials of a study of the other languages."""
    method = Ours(problem, seed, pruner="none")
    run(problem, method, study_of("mixture"), seed, MOST, reuse=True, marks=(), most_trials=TRIALS)
    return method.seen


def upside_down(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The same trials with the opposite scores."""
    return [
        replace(record, curve=tuple(
            replace(point, scores={key: 1.0 - value for key, value in point.scores.items()}) for point in record.curve
        ))
        for record in records
    ]  # fmt: skip


def prior(arm: str, here: Problem, there: Problem, seed: int, model: Response) -> list[Tendency]:
    """What an arm believes."""
    if arm == "nothing":
        return []
    if "belief" in arm:
        row = here.rows[int(here.finals.argmin() if arm.startswith("wrong") else here.finals.argmax())]
        return [Belief(model, {key: value for key, value in row.items() if key != "intermediate_steps"})]
    records = other_study(there, seed + 1000)
    return [Elsewhere(model, response(there), upside_down(records) if "upside" in arm else records, "other")]


def trials_until(arm: str, here: Problem, there: Problem, seed: int, part: float) -> int:
    """Trials until the part is there."""
    method: Any = Ours(here, seed, pruner="none")
    method.believe(prior(arm, here, there, seed, method.response))
    count, whole = 0, here.best_area(here.floors()[0])

    def reached(paid: float, area: float) -> bool:
        nonlocal count
        count += 1
        return area >= part * whole

    run(here, method, study_of("mixture"), seed, MOST, reuse=True, marks=(), watch=reached)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--problems", nargs="+", default=["ratio", "simplex"])
    parser.add_argument("--part", type=float, default=0.95)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = pd.read_parquet(TABLE)
    rng = np.random.default_rng(0)
    for name in asked.problems:
        here, there = (polyglot(table[table.language.isin(half)], name) for half in (HERE, THERE))
        counts = {
            arm: np.array([trials_until(arm, here, there, seed, asked.part) for seed in range(asked.seeds)])
            for arm in ARMS
        }
        drawn = rng.integers(0, asked.seeds, (DRAWS, asked.seeds))
        for arm in ARMS:
            ratios = counts[arm][drawn].mean(1) / counts["nothing"][drawn].mean(1)
            low, high = np.quantile(ratios, (0.025, 0.975))
            mean, ratio = counts[arm].mean(), counts[arm].mean() / counts["nothing"].mean()
            print(f"{name:8} {arm:18} {mean:5.1f} trials, x {ratio:.2f} [{low:.2f}, {high:.2f}]", flush=True)


if __name__ == "__main__":
    main()
