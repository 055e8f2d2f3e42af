"""Measure the gain of a warm start and of a user prior, and their cost when they are wrong.

    python benchmarks/peers/warm.py [--seeds 40] [--problems ratio simplex] [--part 0.95] [--arms …]

Counts the trials until a part of the anytime front's hypervolume of true means is reached, on the recorded tables,
scored on one half of the languages. The arms are:

- `nothing`: no prior knowledge
- `study`: a prior study of 20 trials, scored on the other half
- `smaller budget`: a prior study of 20 trials on the same half, with at most 50 intermediate steps
- `belief`: a user prior at the best configuration
- `study upside down`: the prior study on the other half with reversed scores, so that its best configurations are its
  worst
- `wrong belief`: a user prior at the worst configuration

Prints the mean of each arm, and its ratio to the mean of `nothing` with the 95 % bootstrap interval over seeds.
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
from problems import BATCH, TABLE, Problem, polyglot
from replay import run

from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.surrogate.features import MeanFunction
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.warm_start import TransferPrior, UserPrior

HERE, THERE = ("en", "es", "fi", "sw"), ("de", "id", "ko", "ru")
TRIALS, MOST, DRAWS = 20, 30.0, 4000
"""Trials of the prior study; maximum cost of a run in units; number of bootstrap samples."""

SHORT = 50
"""Maximum number of intermediate steps in the study with a smaller budget."""

ARMS = ("nothing", "study", "smaller budget", "belief", "study upside down", "wrong belief")


def response(problem: Problem) -> Response:
    return Response(
        problem.space, PlannedCurves(problem.space, problem.rungs, problem.unit, "windows", problem.planned)
    )


def other_study(problem: Problem, seed: int) -> list[TrialRecord]:
    """Run a study of the other languages and return its trials."""
    method = Ours(problem, seed, pruner="none")
    run(problem, method, study_of("mixture"), seed, MOST, reuse=True, marks=(), most_trials=TRIALS)
    return method.seen


def upside_down(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the same trials with reversed scores."""
    return [
        replace(record, curve=tuple(
            replace(point, scores={key: 1.0 - value for key, value in point.scores.items()}) for point in record.curve
        ))
        for record in records
    ]  # fmt: skip


def prior(arm: str, here: Problem, there: Problem, seed: int, model: Response) -> list[MeanFunction]:
    """Return the prior mean functions of an arm."""
    if arm == "nothing":
        return []
    if "belief" in arm:
        row = here.rows[int(here.finals.argmin() if arm.startswith("wrong") else here.finals.argmax())]
        return [UserPrior(model, {key: value for key, value in row.items() if key != "intermediate_steps"})]
    records = other_study(there, seed + 1000)
    return [TransferPrior(model, response(there), upside_down(records) if "upside" in arm else records, "other")]


def shortened(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a study with a smaller budget could observe."""
    passed = (table.stage == "intermediate") & (table.windows <= SHORT * BATCH)
    return table[passed | (table.intermediate_steps <= SHORT)]


def trials_until(arm: str, here: Problem, there: Problem, seed: int, part: float) -> int:
    """Return the number of trials until the part is reached."""
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
    parser.add_argument("--arms", nargs="+", choices=ARMS[1:], default=ARMS[1:])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = pd.read_parquet(TABLE)
    rng = np.random.default_rng(0)
    for name in asked.problems:
        halves = [table[table.language.isin(half)] for half in (HERE, THERE)]
        here, there, short = (polyglot(part, name) for part in (*halves, shortened(halves[0])))
        arms = ("nothing", *asked.arms)
        counts = {
            arm: np.array(
                [
                    trials_until(arm, here, short if arm == "smaller budget" else there, seed, asked.part)
                    for seed in range(asked.seeds)
                ]
            )
            for arm in arms
        }
        drawn = rng.integers(0, asked.seeds, (DRAWS, asked.seeds))
        for arm in arms:
            ratios = counts[arm][drawn].mean(1) / counts["nothing"][drawn].mean(1)
            low, high = np.quantile(ratios, (0.025, 0.975))
            mean, ratio = counts[arm].mean(), counts[arm].mean() / counts["nothing"].mean()
            print(f"{name:8} {arm:18} {mean:5.1f} trials, x {ratio:.2f} [{low:.2f}, {high:.2f}]", flush=True)


if __name__ == "__main__":
    main()
