"""Names that MLflow refuses are replaced, and a tag holds the original name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

from ratio_hpo import Context, LogUniform, Params, Progress, Ratio, search
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.tracking.base import MAX_NAME, safe_name

TAKEN = re.compile(r"^[/\w.\- :]*$")
"""MLflow's own rule (mlflow/utils/validation.py)."""


@given(name=st.text(min_size=1, max_size=300))
def test_any_name_has_one_that_is_taken(name: str) -> None:
    safe = safe_name(name)
    assert TAKEN.match(safe)
    assert posixpath.normpath(safe) == safe
    assert not safe.startswith(("/", "..", "."))
    assert 0 < len(safe) <= MAX_NAME


@given(names=st.sets(st.text(alphabet="a(@/.", min_size=1, max_size=6), min_size=2))
def test_two_names_stay_two(names: set[str]) -> None:
    assert len({safe_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["f1/sw", "score/mean", "final/cost", "lr", "a b", "x:y", "ein-wort", "语/言"])
def test_names_that_are_taken_stay_as_they_are(name: str) -> None:
    assert safe_name(name) == name


def odd(params: Params, context: Context) -> Iterator[Progress]:
    for windows in (10, 20):
        scores = {f"recall@10/{name}": 0.5 + windows / 100 for name in ("zh (Hans)", "pt(BR)")}
        measures = {"own measure (%)": 1.0}
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores, measures=measures)


def test_a_search_with_odd_names_is_tracked(tmp_path: Path) -> None:
    space = {"ratio": Ratio(), "lr@encoder": LogUniform(low=1e-5, high=1e-3)}
    quiet: dict[str, Any] = {"progress": False, "isolated": False}
    search(odd, space, rungs=[10, 20], trials=3, study="odd+study", measure="recall@10", root=tmp_path, **quiet)
    client = MlflowClient(RunFolder(tmp_path).runs_url)
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = [run for run in client.search_runs(experiments) if run.data.tags["ratio_hpo.kind"] == "trial"]
    assert len(runs) == 3
    for run in runs:
        real = {key: value for key, value in run.data.tags.items() if key.startswith("name/")}
        assert {"recall@10/zh (Hans)", "recall@10/pt(BR)", "lr@encoder", "own measure (%)"} <= set(real.values())
        for key, name in real.items():
            kind = run.data.params if name == "lr@encoder" else run.data.metrics
            assert key.removeprefix("name/") in kind
