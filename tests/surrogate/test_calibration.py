"""Calibration of the response model on held-out trials of the recorded table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.peers.problems import Problem, polyglot
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response

TABLE = Path(__file__).parents[2] / "benchmarks" / "tables" / "polyglot.parquet"
FITTED, DRAWS, Z80 = 24, 20, 1.2816


def covered(problem: Problem, draw: int) -> tuple[float, float]:
    """Fit some trials of one seed; return the coverage of the other trials' final scores, overall and by language."""
    order, seed = np.random.default_rng(draw).permutation(len(problem.rows)), draw % 3
    records = [
        TrialRecord(
            number=k, state=State.COMPLETE, kind="sampled", params=problem.rows[row],
            curve=tuple(problem.curves[row][seed]), plan=problem.planned(problem.rows[row]),
        )
        for k, row in enumerate(order[:FITTED])
    ]  # fmt: skip
    held = order[FITTED:]
    assert len(held) >= 100
    planned_curves = PlannedCurves(problem.space, problem.rungs, problem.unit, "windows", problem.planned)
    response = Response(problem.space, planned_curves)
    model = response.model(records)
    told = model.predict(response.ends([problem.rows[row] for row in held]), measured=True)
    last = [problem.curves[row][seed][-1] for row in held]
    scores = np.array([[point.scores[name] for name in model.observations.names] for point in last])
    means = np.abs(scores @ model.observations.weights - told.mean) <= Z80 * told.sd
    return float(means.mean()), float((np.abs(scores - told.outputs) <= Z80 * told.output_sd).mean())


@pytest.mark.slow
@pytest.mark.parametrize("which", ["ratio", "simplex"])
def test_four_of_five_bands_hold_about_four_of_five_trials(which: str) -> None:
    problem = polyglot(pd.read_parquet(TABLE), which)
    means, languages = np.mean([covered(problem, draw) for draw in range(DRAWS)], axis=0)
    assert 0.7 <= means <= 0.9
    assert 0.7 <= languages <= 0.9
