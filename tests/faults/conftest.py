"""Counts for each fault: injections, and what was lost, duplicated or differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ratio_hpo.core.trial import TrialRecord
from tests.conftest import FAULT


@dataclass
class Ledger:
    """Counts for one fault."""

    test: pytest.Item
    fault: str
    injections: int = 0
    lost: int = 0
    duplicated: int = 0
    differing: int = 0
    notes: list[str] = field(default_factory=list)

    def compare(self, whole: Sequence[TrialRecord], struck: Sequence[TrialRecord]) -> None:
        """Count the differences between an undisturbed study and a study with faults."""
        self.duplicated += max(len(struck) - len(whole), 0)
        self.lost += max(len(whole) - len(struck), 0)
        for a, b in zip(whole, struck, strict=False):
            places = [(p.stage, p.windows) for p in b.curve]
            self.duplicated += len(places) - len(set(places))
            self.lost += max(len(a.curve) - len(b.curve), 0) + (a.state.finished and not b.state.finished)
            same = (a.state, a.params, a.seed) == (b.state, b.params, b.seed)
            scores = [(p.stage, p.windows, p.cost, dict(p.scores)) for p in a.curve]
            if not same or scores != [(p.stage, p.windows, p.cost, dict(p.scores)) for p in b.curve]:
                self.differing += 1
                self.notes.append(f"trial {a.number}: {a.state.value} {a.reason} / {b.state.value} {b.reason}")

    def check(self) -> None:
        """Assert that all counts are zero after at least one injection."""
        row = (self.fault, self.injections, self.lost, self.duplicated, self.differing)
        self.test.user_properties.append((FAULT, row))
        assert self.injections > 0
        assert (self.lost, self.duplicated, self.differing) == (0, 0, 0), self.notes


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Return the counts for the fault that the test is named after."""
    return Ledger(request.node, request.node.name.removeprefix("test_").replace("_", " "))


@pytest.fixture
def often(request: pytest.FixtureRequest) -> int:
    """Return how many times longer to run than in CI."""
    return int(request.config.getoption("--faults"))
