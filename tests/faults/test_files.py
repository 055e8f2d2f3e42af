"""Disk faults with the built-in objective: full disk, flipped bits, truncated files, failing operations."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratio_hpo.core import files
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.trial import UNSTORED, TrialRecord
from ratio_hpo.experiment.build_search import RunOptions, build_search
from ratio_hpo.experiment.search import ProgressCallback, run_search
from ratio_hpo.study import Study
from tests.cli.test_search import SMALL
from tests.faults.conftest import Ledger

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TRIALS = 6


class Quiet:
    """Collect messages and display nothing."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def running(self, study: Study, trials: int) -> Iterator[ProgressCallback]:
        yield lambda view: None


def search(root: Path, trials: int = TRIALS, watcher: Quiet | None = None) -> list[TrialRecord]:
    """Run a small search with the built-in objective, whose few steps take seconds."""
    root.mkdir(exist_ok=True)
    file = root.parent / "experiment.yaml"
    file.write_text(SMALL)
    options = RunOptions(
        experiment=str(file),
        settings=(Setting("trials", trials, "test"),),
        root=root,
        tracking=False,
        backend="local",
        workers=1,
        cpus_per_trial=1,
    )
    watcher = watcher or Quiet()
    return run_search(build_search(options, watcher.say), watcher)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[TrialRecord]:
    """Return the trials of an undisturbed study."""
    return search(tmp_path_factory.mktemp("whole") / "runs")


@contextmanager
def full_disk(below: Path, every: int) -> Iterator[list[Path]]:
    """Refuse every n-th file below a folder as if the disk were full; yield the refused paths."""
    seen, refused = 0, []

    def fault(path: Path) -> None:
        nonlocal seen
        if below in path.parents:
            seen += 1
            if seen % every == 0:
                refused.append(path)
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

    files.FAULTS.append(fault)
    try:
        yield refused
    finally:
        files.FAULTS.remove(fault)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_disk_full(every: int, whole: list[TrialRecord], ledger: Ledger, tmp_path: Path) -> None:
    """Stages and items do not fit on the disk: older ones are deleted, or trials run unstored, with one message."""
    root, watcher = tmp_path / "runs", Quiet()
    search(root, 1)  # prepares the data; its stages and items are deleted below
    shutil.rmtree(root / "stages")
    shutil.rmtree(root / "items")
    with full_disk(root / "stages", every) as stages, full_disk(root / "items", every) as items:
        records = search(root, watcher=watcher)
    ledger.injections += len(stages) + len(items)
    ledger.compare(whole, records)
    ledger.check()
    unstored = any(point.measures.get(UNSTORED) for record in records for point in record.curve)
    assert sum("the disk is full" in line for line in watcher.lines) == unstored
    assert unstored or every > 1, "where every write fails nothing can be stored"


def spoilable(root: Path, names: Sequence[str]) -> list[Path]:
    return sorted(path for name in names for path in root.rglob(name) if path.is_file() and path.stat().st_size > 16)


@pytest.mark.parametrize("how", ["flipped", "cut off"])
@pytest.mark.parametrize(
    ("what", "names"),
    [("stages", ["state.json", "config*.json", "*.safetensors"]), ("cache", ["*.npy", "*.json", "*.parquet"])],
)
def test_bytes(
    how: str, what: str, names: list[str], whole: list[TrialRecord], ledger: Ledger, often: int, tmp_path: Path
) -> None:
    """Bytes of stored stages or of tokenised data change between two commands."""
    rng = random.Random(0)
    for k in range(often):
        root = tmp_path / str(k) / "runs"
        root.parent.mkdir()
        search(root, 3)
        for path in rng.sample(spoilable(root / what, names), min(6, len(spoilable(root / what, names)))):
            content = bytearray(path.read_bytes())
            if how == "flipped":
                content[rng.randrange(len(content))] ^= 0x10
            else:
                del content[len(content) // 2 :]
            path.write_bytes(content)
            ledger.injections += 1
        ledger.compare(whole, search(root))
    ledger.check()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the injector that makes file operations fail."""
    source = Path(__file__).parents[3] / "shared" / "faults" / "shim.c"
    compiler = shutil.which("gcc")
    if not source.is_file() or compiler is None:
        pytest.skip("needs gcc, and the injector shared/faults/shim.c beside the project")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-w", "-o", library, source, "-ldl"], check=True)
    return library


def test_any_file_operation_fails(shim: Path, ledger: Ledger, often: int, tmp_path: Path) -> None:
    """No error of a disk or file server, on any file, fails a trial or changes a result."""
    command = [sys.executable, "-m", "tests.faults.sweep", str(tmp_path), str(25 * often), "0"]
    env = {**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600 * often, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(rows) == 25 * often, done.stderr[-2000:]
    for row in rows:
        ledger.injections += row["struck"]
        ledger.lost += row["lost"]
        ledger.differing += len(row["differing"])
        if row["failed"] or row["differing"] or row["code"] not in (0, 1):
            ledger.notes.append(json.dumps(row))
    ledger.check()
    assert ledger.notes == []
    assert all(len(row["said"].splitlines()) == (row["code"] != 0) for row in rows), "one line where the search ends"
