"""A moved or copied run folder keeps its artifacts: new ones are written to the new location, old ones found in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from ratio_hpo import Context, Params, Progress, Ratio, search
from ratio_hpo.core.layout import RunFolder

QUIET: dict[str, Any] = {"progress": False, "isolated": False, "rungs": [10], "study": "moved"}


def objective(params: Params, context: Context) -> Any:
    yield Progress(stage="target", windows=10, cost=10, scores={"score/mean": 0.5 + 0.1 * params["ratio"]})


def search_in(root: Path, trials: int) -> None:
    search(objective, {"ratio": Ratio()}, trials=trials, root=root, **QUIET)


def artifacts(root: Path) -> list[tuple[str, list[str]]]:
    """Return the artifact location and the artifact names of each run."""
    client = MlflowClient(RunFolder(root).runs_url)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return [(run.info.artifact_uri, [each.path for each in client.list_artifacts(run.info.run_id)]) for run in runs]


@pytest.mark.slow
@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_artifacts_go_with_the_folder(move: Any, tmp_path: Path) -> None:
    old, new = tmp_path / "old?", tmp_path / "new name"
    search_in(old, 2)
    names = sorted(name for _, found in artifacts(old) for name in found)
    assert "report.html" in names
    move(old, new)
    if move is shutil.copytree:
        shutil.rmtree(old / "artifacts")
    again = "from tests.tracking.test_moved import *; import sys; search_in(Path(sys.argv[1]), 3)"
    subprocess.run([sys.executable, "-c", again, str(new)], check=True, cwd=Path(__file__).parents[2])
    assert all(uri.startswith((new / "artifacts").as_uri()) for uri, _ in artifacts(new))
    assert set(names) <= {name for _, found in artifacts(new) for name in found}
    assert not (old / "artifacts").exists()
