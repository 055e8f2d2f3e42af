"""Commands whose storage or server accepts connections but never answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratio_hpo import Ratio, search
from tests.conftest import RUNGS, curve_objective


@pytest.fixture
def silent() -> Iterator[str]:
    """Return host and port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:  # the server was closed
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for each in kept:
            each.close()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ratio_hpo", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "words",
    [["status"], ["list"], ["best", "--json"], ["compare", "0", "1"], ["report"], ["plot", "front"]],
)
def test_a_reading_command_ends_with_one_line(words: list[str], silent: str) -> None:
    pytest.importorskip("psycopg", reason="the extra ratio-hpo[postgres] is not installed")
    done = run(*words, "--storage", f"postgresql://me:secret@{silent}/studies", "--timeout", "1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no answer for 1 s (--timeout)" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


@pytest.mark.slow
def test_a_command_says_that_it_waits(silent: str) -> None:
    pytest.importorskip("psycopg", reason="the extra ratio-hpo[postgres] is not installed")
    done = run("status", "--storage", f"postgresql://me@{silent}/studies", "--timeout", "9")
    waits, ends = done.stderr.splitlines()
    assert waits == f"waiting for postgresql://me@{silent}/studies (8 s; ends after 9 s)"
    assert "no answer for 9 s" in ends


@pytest.mark.slow
def test_doctor_tells_what_did_not_answer_and_checks_the_rest(silent: str, tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="the extra ratio-hpo[postgres] is not installed")
    away = ["--storage", f"postgresql://me@{silent}/studies", "--tracking-uri", f"http://{silent}", "--timeout", "15"]
    done = run("doctor", "--root", str(tmp_path), "--json", *away)
    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["base"]["state"] == "ok"
    for name in ("storage", "tracking"):
        assert checks[name]["state"] == "missing"
        assert checks[name]["detail"] == "no answer within 15 s"


def test_track_ends_where_no_run_can_be_written(silent: str, tmp_path: Path) -> None:
    search(
        curve_objective, {"ratio": Ratio()}, rungs=RUNGS, trials=2, root=tmp_path, tracking=False, progress=False,
        isolated=False,
    )  # fmt: skip
    done = run("track", "--root", str(tmp_path), "--tracking-uri", f"http://{silent}", "--timeout", "3")
    assert done.returncode == 1
    assert f"http://{silent}: no answer for 3 s (--timeout)" in done.stderr
    assert "Traceback" not in done.stderr
