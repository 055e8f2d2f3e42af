"""Replay of recorded tables to compare methods: some read Optuna's study, some pause trials."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.core.trial import Progress

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PEERS))
    import methods

    yield methods
    for name in ("methods", "outside", "problems", "replay"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["random", "tpe", "mixture", "study-tpe"])
def test_a_method_is_asked_for_each_trial_after_the_baselines(peers: Any, name: str) -> None:
    import problems
    import replay

    [problem] = problems.recorded(["ratio"])
    method, most = peers.make(name, problem, 0), len(problem.baselines) + 2
    [mark] = replay.run(problem, method, peers.study_of(name), 0, 1e9, reuse=True, marks=(), most_trials=most)
    assert mark.trials == most


class Pauses:
    """Pauses its first trial at each evaluation and resumes it until it has ended."""

    def __init__(self, place: dict[str, float]) -> None:
        self._place, self.asked = place, 0

    def propose(self, view: Any, number: int) -> dict[str, float] | int:
        self.asked += 1
        return self._place if self.asked == 1 else number - 1

    def stops(self, view: Any, number: int, progress: Progress) -> bool:
        return True

    def ended(self, view: Any, number: int) -> None:
        """Nothing to do."""

    def recommended(self, view: Any) -> int:
        return 0


def test_a_paused_trial_goes_on_where_it_stopped_and_pays_for_what_is_new(peers: Any) -> None:
    import problems
    import replay

    [problem] = problems.recorded(["ratio"])
    place = dict.fromkeys(problem.space.coordinates(), 0.5)
    method = Pauses(place)
    paid: list[float] = []

    def watch(units: float, area: float) -> bool:
        paid.append(units)
        return method.asked == 3

    replay.run(problem, method, peers.study_of("pauses"), 0, 1e9, reuse=False, marks=(), watch=watch)
    row = problem.nearest(problem.space.decode(place), set(problem.baselines))
    costs = [point.cost / problem.unit for point in problem.curve(row, 0)]
    before = paid[len(problem.baselines) - 1]
    assert [each - before for each in paid[len(problem.baselines) :]] == pytest.approx(costs[:3])
