"""The prepared MLflow view, rendered by headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.tracking.test_mlflow import search

pytestmark = pytest.mark.slow


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed to look at the page with")
    return found


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address that `ratio-hpo ui` prints. The server runs during the test."""
    search(tmp_path / "mlruns", trials=8)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ratio_hpo", "ui", "--no-browser", "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert server.stderr is not None
        yield next(found.group(0) for line in server.stderr if (found := re.search(r"http://\S+viewState\S+", line)))
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.communicate(timeout=60)


def test_the_view_draws_front_curves_parallel_coordinates_and_languages(
    address: str, chromium: str, tmp_path: Path
) -> None:
    picture = tmp_path / "view.png"
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=60000"]
    options = {"check": True, "capture_output": True, "text": True, "timeout": 240}
    size = "--window-size=2300,1300"
    page = subprocess.run([chromium, *flags, size, "--dump-dom", address], **options).stdout  # type: ignore[call-overload]
    for shown in (
        "study/0",
        "study/7",
        "8</strong> matching runs",
        "final/cost vs. final/score",
        "score/mean",
        "Parallel",
    ):
        assert shown in page.replace("<strong>8", "8"), shown
    assert "F1 by language, over cost" in page
    assert "Error loading shared view state" not in page
    subprocess.run([chromium, *flags, size, f"--screenshot={picture}", address], **options)  # type: ignore[call-overload]
    with Image.open(picture) as image:
        assert image.size == (2300, 1300)
        colours = image.convert("RGB").resize((460, 260)).getcolors(maxcolors=10**6)
        assert colours is not None
        assert len(colours) > 500  # charts, not a blank page
