"""Studies on a real SQLite file, driven by the reference loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study, StudyPlan
from tests.conftest import curve_objective, plan_of


@pytest.fixture
def open_study(tmp_path: Path) -> Callable[..., Study]:
    def opened(plan: StudyPlan | None = None, **options: Any) -> Study:
        return Study(plan or plan_of(), open_storage(default_url(tmp_path)), **options)

    return opened


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., Study]:
    """Run a study up to a number of trials, and return it."""

    def run(study: Study, trials: int = 12, objective: Any = curve_objective) -> Study:
        run_local(Session(study=study, budget=Budget(trials=trials), root=tmp_path), objective)
        return study

    return run
