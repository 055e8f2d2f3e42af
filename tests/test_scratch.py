"""Scratch folders are removed when they are closed. After a kill, the next scratch folder removes what was left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ratio_hpo.core.files import HELD, scratch_folder

HOLDS = """
import sys, time
from ratio_hpo.core.files import scratch_folder
with scratch_folder() as folder:
    (folder / "big").write_text("x")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def leaves_a_file_and_stops() -> None:
    with scratch_folder() as folder:
        (folder / "file").touch()
        raise KeyboardInterrupt


def test_a_folder_is_gone_at_the_end_also_of_an_error(temporary: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        leaves_a_file_and_stops()
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_and_what_is_used_stays(temporary: Path) -> None:
    holders = [subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    dead, alive = (Path(holder.stdout.readline().strip()) for holder in holders)  # type: ignore[union-attr]
    other = temporary / "ratio-hpo-of-somebody"
    other.mkdir()
    try:
        holders[0].send_signal(signal.SIGKILL)
        holders[0].wait()
        with scratch_folder():  # too recent: the process that created it may not have locked it yet
            assert dead.is_dir()
        for folder in (dead, alive):
            os.utime(folder / HELD, (time.time() - 3600,) * 2)
        with scratch_folder():
            assert not dead.exists()
            assert (alive / "big").is_file()
            assert other.is_dir()
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
            holder.stdout.close()  # type: ignore[union-attr]
