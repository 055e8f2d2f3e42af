"""What it saves to score `select` late, and what it loses: the defaults on the recorded table, at equal trials.

    python benchmarks/peers/scoring.py [--seeds 20] [--trials 16 32] [--problems ratio simplex] [--likely 0.05 0.5]
    python benchmarks/peers/scoring.py --rungs 320,640 640

A rung is scored on `prune`; on `select` at a trial's end, and where a point joins the front (or the target is reached)
with so much probability. Prints the part of the scoring that is left (of both splits at every rung), and the part of
the hypervolume of true means of what was scored on `select` that is lost, and the regret that is added (means over
seeds, paired with scoring always), with 95 % bootstrap intervals over seeds. With `--rungs` all are scored late, and
fewer rungs of the target stage, as windows, are compared with all four of them, on the scale of the whole table.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import optuna
from methods import Ours, study_of
from problems import Problem, recorded
from replay import View, run
from stopping import interval

from ratio_hpo.core.trial import Progress, TrialRecord
from ratio_hpo.study.course import Courses
from ratio_hpo.study.response import Response
from ratio_hpo.study.select_scoring import LIKELY, SelectScoring


class Hidden:
    """Leaves `select` out where it would not be scored, and counts what is."""

    def __init__(self, problem: Problem, likely: float) -> None:
        courses = Courses(problem.space, problem.rungs, problem.unit, "windows", problem.planned)
        response = Response(problem.space, courses, split="prune")
        self._records: list[TrialRecord] = []
        self._scoring = SelectScoring(response, lambda: self._records, "likely", likely)
        self.scored = self.rungs = 0

    def __call__(self, view: View, number: int, point: Progress, ends: bool) -> Progress:
        self._records = view.records
        first = view.records[0]
        target = 0.95 * first.scored[-1].headline if first.state.finished else None
        scores = {key: value for key, value in point.scores.items() if key.startswith("prune/")}
        alone = replace(point, scores=scores)
        wanted = self._scoring.wants(number, alone, target, ends=ends)
        self.rungs += 1
        self.scored += wanted
        return point if wanted else alone


def once(problem: Problem, seed: int, trials: int, likely: float | None) -> tuple[float, float, float]:
    """Part of the scoring, gap and regret of one run."""
    hidden = Hidden(problem, likely) if likely is not None else None
    method = Ours(problem, seed)
    [mark] = run(problem, method, study_of("mixture"), seed, 1e9, reuse=True, marks=(), most_trials=trials, hide=hidden)
    part = 1.0 if hidden is None else (hidden.rungs + hidden.scored) / (2 * hidden.rungs)
    return part, mark.gaps[0], mark.regret


def with_rungs(problem: Problem, stage: str, kept: Sequence[int]) -> Problem:
    """The problem with some of a stage's rungs alone."""
    shown = [
        [k for k, point in enumerate(seeds[0]) if point.stage != stage or point.windows in kept]
        for seeds in problem.curves
    ]
    return replace(
        problem,
        curves=[[[curve[k] for k in on] for curve in seeds] for seeds, on in zip(problem.curves, shown, strict=True)],
        truths=[truth[on] for truth, on in zip(problem.truths, shown, strict=True)],
        rungs={**problem.rungs, stage: tuple(kept)},
        _cache={},
    )


def sparse(problem: Problem, whole: Problem, seed: int, trials: int) -> tuple[float, float, float]:
    """Evaluations of a split, hypervolume on the scale of the whole problem, and regret of one run, scored late."""
    hidden, method = Hidden(problem, LIKELY), Ours(problem, seed)
    [mark] = run(problem, method, study_of("mixture"), seed, 1e9, reuse=True, marks=(), most_trials=trials, hide=hidden)
    number = {repr(sorted(row.items())): k for k, row in enumerate(problem.rows)}
    visited = {
        number[repr(sorted(record.params.items()))]: [k for k, p in enumerate(record.curve) if p.has_headline]
        for record in method.seen
    }
    return float(hidden.rungs + hidden.scored), problem.area(visited, whole.floors()[0]), mark.regret


def show_rungs(problem: Problem, trials: int, seeds: int, choices: Sequence[str]) -> None:
    """A table of choices of the target stage's rungs."""
    print("| target rungs | scoring left | hypervolume lost | regret added |\n|---|---|---|---|", flush=True)
    whole = np.array([sparse(problem, problem, seed, trials) for seed in range(seeds)])
    for choice in choices:
        fewer = with_rungs(problem, "target", [int(windows) for windows in choice.split(",")])
        rows = np.array([sparse(fewer, problem, seed, trials) for seed in range(seeds)])
        parts = rows[:, :2] / whole[:, :2]
        cells = (interval(parts[:, 0]), interval(1 - parts[:, 1]), interval(rows[:, 2] - whole[:, 2]))
        print(f"| {choice} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--problems", nargs="+", default=["ratio", "simplex"])
    parser.add_argument("--likely", type=float, nargs="+", default=[0.05, 0.2, 0.5])
    parser.add_argument("--rungs", nargs="+", help="windows of the target stage, as 320,640")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for problem in recorded(asked.problems):
        for trials in asked.trials:
            print(f"\n{problem.name}, {trials} trials, {asked.seeds} seeds\n", flush=True)
            if asked.rungs:
                show_rungs(problem, trials, asked.seeds, asked.rungs)
                continue
            print("| likely | scoring left | hypervolume lost | regret added |\n|---|---|---|---|", flush=True)
            always = np.array([once(problem, seed, trials, None) for seed in range(asked.seeds)])
            for likely in asked.likely:
                late = np.array([once(problem, seed, trials, likely) for seed in range(asked.seeds)])
                lost = 1 - (1 - late[:, 1]) / (1 - always[:, 1])
                cells = (interval(late[:, 0]), interval(lost), interval(late[:, 2] - always[:, 2]))
                print(f"| {likely:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
